"""The causes of a wait in words, English and Chinese: `words(cause, "zh")`.

A template names the facts of its reason in braces; `{size|task}` is a number with its noun. A part between brackets is
left out if one of its facts is not known.
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, TypeAlias

from rota.core.text import counted
from rota.inspect.waiting import Cause, Fact, Reason

Language: TypeAlias = Literal["en", "zh"]


class Template(NamedTuple):
    """The sentences for one reason."""

    en: str
    zh: str


TEMPLATES: Mapping[Reason, Template] = {
    Reason.SERVER_UNREACHABLE: Template(
        "The server cannot be reached, so nothing is known about the task: {error}",
        "无法连接服务器，因此不知道任务的情况：{error}",
    ),
    Reason.MISSING: Template(
        "The content of the task is gone: the server evicted it, or its key was deleted by hand. It cannot run.",
        "任务内容已丢失：被服务器淘汰，或其键被手工删除。任务无法运行。",
    ),
    Reason.NOT_LISTED: Template(
        "The task says that it is {state}, but the queue {queue} does not list it there. Run: rota doctor --repair",
        "任务的状态是 {state}，但队列 {queue} 的相应列表中没有它。请运行：rota doctor --repair",
    ),
    Reason.LEASE_EXPIRED: Template(
        "The worker that ran the task died, or cannot reach the server[: its lease expired at {since}]. Workers of the "
        "queue will run it again within a minute or so; start one if there is none.",
        "运行该任务的 worker 已死亡，或无法连接服务器[（租约已于 {since} 到期）]。"
        "该队列的 worker 会在约一分钟内重新运行它；如果没有 worker，请启动一个。",
    ),
    Reason.QUEUE_PAUSED: Template(
        "The queue {queue} was paused[ at {since}][ by {by}][: {why}]. Resume it: rota queue resume {queue}",
        "队列 {queue} 已暂停[，自 {since} 起][，操作人 {by}][，原因：{why}]。恢复：rota queue resume {queue}",
    ),
    Reason.NO_SERVER: Template(
        "No worker serves the queue {queue} ({servers|live server} in all). Start one with --queues {queue}, or move "
        "the task to another queue.",
        "没有 worker 服务于队列 {queue}（共有 {servers} 个在线服务器）。"
        "请用 --queues {queue} 启动一个，或把任务移到其他队列。",
    ),
    Reason.SERVERS_QUIET: Template(
        "The workers of the queue {queue} take no more tasks, because they were quieted or are stopping: {servers}. "
        "Start new ones.",
        "队列 {queue} 的 worker 不再取任务，因为它们已被静默或正在停止：{servers}。请启动新的 worker。",
    ),
    Reason.TYPE_UNKNOWN: Template(
        "No worker of the queue {queue} handles the type {type}: {servers}. Import the module of the task in the "
        "worker's app, or check the name of the type.",
        "队列 {queue} 的 worker 都不处理类型 {type}：{servers}。请在 worker 的应用中导入该任务的模块，或检查类型名称。",
    ),
    Reason.TYPE_UNSURE: Template(
        "No worker of the queue {queue} is known to handle the type {type}. These do not say which types they handle, "
        "as Go servers never do: {servers}.",
        "不能确定队列 {queue} 是否有 worker 处理类型 {type}。"
        "下列 worker 没有公布其处理的类型（Go 服务器从不公布）：{servers}。",
    ),
    Reason.NOT_TAKEN: Template(
        "The task is the next of the queue {queue} and has been waiting for {waited}, although workers have "
        "{free|free slot}: {servers}. They may serve heavier queues first, or cannot fetch: ask them with rota health.",
        "该任务是队列 {queue} 的下一个任务，已等待 {waited}，但 worker 还有 {free} 个空闲槽位：{servers}。"
        "它们可能在优先处理权重更高的队列，或取不到任务：请用 rota health 检查。",
    ),
    Reason.NOT_PROMOTED: Template(
        "The task has been due since {since}, but no worker has moved it to the waiting tasks.",
        "任务自 {since} 起已到期，但没有 worker 把它移入等待列表。",
    ),
    Reason.TYPE_BUSY: Template(
        "As many tasks of the type {type} run as its concurrency allows: {running} of {limit}.",
        "类型 {type} 正在运行的任务已达到其并发上限：{running}/{limit}。",
    ),
    Reason.SLOTS_BUSY: Template(
        "All {slots|slot} of the workers of the queue {queue} are in use: {servers}.",
        "队列 {queue} 的 worker 的全部 {slots} 个槽位都在使用中：{servers}。",
    ),
    Reason.BEHIND: Template(
        "The task is behind {ahead|other task} of the queue {queue}[; {per_second} end in a second, so it is due in "
        "about {forecast}].",
        "该任务排在队列 {queue} 的 {ahead} 个任务之后[；每秒完成 {per_second} 个，预计约 {forecast}后轮到]。",
    ),
    Reason.RETRY_LATER: Template(
        "The task failed and will run again in {after}, at {at}: retry {retried} of {max_retry}[. Its error: {error}]",
        "任务失败，将在 {after}后（{at}）重试：第 {retried}/{max_retry} 次[。错误：{error}]",
    ),
    Reason.NOT_DUE: Template(
        "The task is planned for {at}, in {after}.",
        "任务计划在 {at} 运行，还有 {after}。",
    ),
    Reason.IN_GROUP: Template(
        "The task waits in the group {group} with {size|task}[, since {since}], until the group is aggregated.",
        "任务在组 {group} 中等待聚合，组内共有 {size} 个任务[，自 {since} 起]。",
    ),
    Reason.IN_AGGREGATION: Template(
        "A worker is aggregating the tasks of the group {group}.",
        "一个 worker 正在聚合组 {group} 的任务。",
    ),
    Reason.LOCK_HELD: Template(
        "Another task, {holder} ({state}), holds the unique lock of this task. This task runs all the same.",
        "该任务的唯一锁由另一个任务 {holder}（{state}）持有。该任务仍会运行。",
    ),
    Reason.NEXT: Template(
        "The task is the next one of the queue {queue}.",
        "该任务是队列 {queue} 的下一个任务。",
    ),
    Reason.RUNNING: Template(
        "The task does not wait: it is running[ on {server}][ since {since}].",
        "任务没有在等待：它正在运行[，位于 {server}][，自 {since} 起]。",
    ),
    Reason.COMPLETED: Template(
        "The task does not wait: it was completed[ at {at}].",
        "任务没有在等待：它已完成[，时间 {at}]。",
    ),
    Reason.ARCHIVED: Template(
        "The task does not wait: it was archived[ as {end}] and will not run again.[ Its error: {error}]",
        "任务没有在等待：它已归档[（{end}）]，不会再运行。[错误：{error}]",
    ),
}

_AT_LEAST = {"en": "at least {}", "zh": "至少 {}"}
_OPTIONAL = re.compile(r"\[([^\]]*)\]")
_FACT = re.compile(r"\{(\w+)(?:\|([^}]+))?\}")


def words(cause: Cause, language: Language = "en") -> str:
    """Put a cause into words: a sentence or two, without a line break."""
    facts = cause.facts
    template = TEMPLATES[cause.reason].zh if language == "zh" else TEMPLATES[cause.reason].en
    at_least = {"ahead"} if facts.get("at_least") else set[str]()

    def optional(found: re.Match[str]) -> str:
        return found[1] if all(facts.get(name) is not None for name, _ in _FACT.findall(found[1])) else ""

    def fact(found: re.Match[str]) -> str:
        said = _said(facts.get(found[1]), found[2] or "", language)
        return _AT_LEAST[language].format(said) if found[1] in at_least else said

    return " ".join(_FACT.sub(fact, _OPTIONAL.sub(optional, template)).split())


def _said(value: Fact, noun: str, language: Language) -> str:
    match value:
        case None:
            return "?"
        case tuple():
            return ", ".join(value)
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S} UTC"
        case timedelta():
            return _length(value, language)
        case int() if noun and language == "en":
            return counted(value, noun)
        case float():
            return f"{value:.3g}" if value < 100 else f"{value:.0f}"
        case _:
            return str(value)


_UNITS = ((86_400, "d", " 天"), (3600, "h", " 小时"), (60, "m", " 分钟"), (1, "s", " 秒"))


def _length(length: timedelta, language: Language) -> str:
    """Return a duration with its two largest units."""
    column = 2 if language == "zh" else 1
    seconds, parts = round(length / timedelta(seconds=1)), list[str]()
    for unit in _UNITS:
        number, seconds = divmod(seconds, unit[0])
        if number and len(parts) < 2:
            parts.append(f"{number}{unit[column]}")
        elif parts:
            break
    return " ".join(parts) or f"0{_UNITS[-1][column]}"
