// Command trace is Go's own OpenTelemetry at both ends of a task. With no arguments it starts a span and prints it with
// the headers that it injects. With -receive it extracts the context from the headers on stdin, a JSON object a line,
// and prints the span that it starts there.
package main

import (
	"context"
	"flag"
	"log"

	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"rota/interop/internal/lines"
)

type span struct {
	TraceID string            `json:"trace_id"`
	SpanID  string            `json:"span_id"`
	Parent  string            `json:"parent_id"`
	Sampled bool              `json:"sampled"`
	State   string            `json:"state"`
	Baggage string            `json:"baggage"`
	Headers map[string]string `json:"headers"`
}

var propagator = propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})
var tracer = sdk.NewTracerProvider().Tracer("interop")

func main() {
	receive := flag.Bool("receive", false, "continue the traces of the headers on stdin")
	flag.Parse()
	if *receive {
		lines.Each(func(headers map[string]string) {
			start(propagator.Extract(context.Background(), propagation.MapCarrier(headers)))
		})
		return
	}
	member, err := baggage.NewMember("tenant", "7")
	if err != nil {
		log.Fatal(err)
	}
	bag, err := baggage.New(member)
	if err != nil {
		log.Fatal(err)
	}
	start(baggage.ContextWithBaggage(context.Background(), bag))
}

func start(ctx context.Context) {
	ctx, started := tracer.Start(ctx, "go")
	defer started.End()
	headers := propagation.MapCarrier{}
	propagator.Inject(ctx, headers)
	own := started.SpanContext()
	parent := ""
	if readable, ok := started.(sdk.ReadOnlySpan); ok && readable.Parent().IsValid() {
		parent = readable.Parent().SpanID().String()
	}
	lines.Print(span{
		TraceID: own.TraceID().String(), SpanID: own.SpanID().String(), Parent: parent, Sampled: own.IsSampled(),
		State: own.TraceState().String(), Baggage: baggage.FromContext(ctx).String(), Headers: headers,
	})
}
