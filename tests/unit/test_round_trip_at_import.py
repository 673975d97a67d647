"""What no call could send is refused where the function is registered."""

from typing import Annotated, Any

import pytest
from pydantic import (
    AliasChoices,
    BaseModel,
    Field,
    SecretBytes,
    SecretStr,
)

from rota import OptionError, Payload, Rota
from tests.unit.typed_values import Admin, Aliased, User, task_of


@pytest.mark.parametrize(
    "annotation", [SecretStr, SecretBytes, SecretStr | None, list[SecretStr], Annotated[SecretStr, Field(min_length=1)]]
)
def test_secret_parameter_is_refused_at_import(annotation: Any) -> None:
    with pytest.raises(OptionError, match="secret, which is written as asterisks"):
        task_of(annotation)


@pytest.mark.parametrize(
    "alias",
    [
        Field(validation_alias="userId"),
        Field(serialization_alias="userId"),
        Field(validation_alias=AliasChoices("user", "userId"), serialization_alias="value_id"),
    ],
)
def test_alias_for_one_side_only_is_refused_at_import(alias: Any) -> None:
    def act(value: Annotated[int, alias]) -> None: ...

    with pytest.raises(OptionError, match=r"writes 'value' as .* and reads it as"):
        Rota().task("test:act")(act)


def test_alias_with_several_choices_is_written_as_one_of_them() -> None:
    alias = Field(validation_alias=AliasChoices("id", "userId"), serialization_alias="userId")

    def act(value: Annotated[int, alias] = 3) -> None: ...  # type: ignore[valid-type]

    task = Rota().task("test:act")(act)

    assert task.plan().payload == b'{"userId":3}'
    assert task.plan(7).payload == b'{"userId":7}'
    assert task.handler.arguments.read(b'{"id":7}') == {"value": 7}


def test_aliases_that_are_each_others_names_do_not_swap_the_values() -> None:
    def act(a: Annotated[int, Field(alias="b")], b: Annotated[int, Field(alias="a")]) -> None: ...

    task = Rota().task("test:act")(act)

    assert task.plan(a=1, b=2).payload == b'{"b":1,"a":2}'
    assert task.handler.arguments.read(b'{"b":1,"a":2}') == {"a": 1, "b": 2}


def test_alias_of_a_parameter_leaves_those_of_its_model_alone() -> None:
    def act(user: Annotated[Aliased, Field(alias="theUser")]) -> None: ...

    assert Rota().task("test:act")(act).plan({"userId": 1}).payload == b'{"theUser":{"userId":1}}'  # type: ignore[arg-type]


def test_two_parameters_under_one_key_are_refused_at_import() -> None:
    def act(a: Annotated[int, Field(alias="b")], b: int) -> None: ...

    with pytest.raises(OptionError, match="two parameters under one key"):
        Rota().task("test:act")(act)


@pytest.mark.parametrize(
    ("annotation", "default"), [(float, float("inf")), (int, None), (list[int], ["a"]), (Any, (1,)), (User, Admin)]
)
def test_default_that_no_call_could_send_is_refused_at_import(annotation: Any, default: Any) -> None:
    def act(value=default):  # type: ignore[no-untyped-def]
        return value

    act.__annotations__ = {"value": annotation}
    with pytest.raises(OptionError, match=r"The default of 'value' in .*act cannot travel"):
        Rota().task("test:act")(act)


class Order(BaseModel):
    number: int


def test_a_default_of_none_that_the_annotation_does_not_allow_is_refused_with_the_way_out() -> None:
    def argument(x: int = None) -> None:  # type: ignore[assignment]  # noqa: RUF013
        raise NotImplementedError

    def whole(order: Annotated[Order, Payload] = None) -> None:  # type: ignore[assignment]
        raise NotImplementedError

    for function in (argument, whole):
        with pytest.raises(OptionError, match=r"The default of .* cannot travel: .* Add `\| None` to the annotation"):
            Rota().task("test:default")(function)


def test_a_default_of_the_whole_payload_has_to_fit_it_too() -> None:
    def wrong(order: Annotated[int, Payload] = "many") -> None:  # type: ignore[assignment]
        raise NotImplementedError

    def right(order: Annotated[Order | None, Payload] = None) -> None:
        raise NotImplementedError

    with pytest.raises(OptionError, match="Use a default that fits the annotation"):
        Rota().task("test:default")(wrong)
    assert Rota().task("test:default")(right).plan().payload == b"null"
