"""What a service asks of a worker, and what it gets back: many simulations in one frame each.

Only these frames cross Dask, Ray or a queue; nothing that a model made is ever unpickled.
"""

from dataclasses import dataclass, field
from typing import Any

from modelops.contracts import BundleRef, ContractError, PublicKey, SimFailure
from modelops.contracts.execution import EnvironmentMode, Isolation
from modelops.contracts.simulation import check_fn_ref
from modelops.worker.frames import Frame, FrameError, Payload, decode, encode
from modelops.worker.message_frames import failure_of_json, failure_to_json, number
from modelops.worker.run_watch import RunLimits
from modelops.worker.text import clean

DIGEST_BYTES = 32


@dataclass(frozen=True)
class Function:
    """What the simulations of a chunk have in common, and how they are run.

    Attributes:
        bundle_ref: the code, pinned by digest.
        fn_ref: `module:function` inside the bundle.
        outputs: the tables to keep; none means all.
        isolation: how far simulations are kept apart.
        environment: how the bundle's packages are met.
        limits: of each simulation.
        public_key: what the bundle must be signed with, or None.
        store_url: the object store where the worker keeps the results; empty for nowhere.
        run_id: under which name it keeps them.
        targets: [target's id, `module:function`] of each that large outputs are aligned with.
    """

    bundle_ref: BundleRef
    fn_ref: str
    outputs: tuple[str, ...] = ()
    isolation: Isolation = Isolation.WARM
    environment: EnvironmentMode = EnvironmentMode.LAYERED
    limits: RunLimits = field(default_factory=RunLimits)
    public_key: PublicKey | None = None
    store_url: str = ""
    run_id: str = ""
    targets: tuple[tuple[str, str], ...] = ()
    _hash: int = field(default=0, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # It's looked up once for each simulation.
        parts = (self.bundle_ref, self.fn_ref, self.outputs, self.run_id)
        object.__setattr__(self, "_hash", hash(parts))

    def __hash__(self) -> int:
        return self._hash


@dataclass(frozen=True)
class Chunk:
    """Simulations of one function.

    Attributes:
        function: which, and how.
        calls: JSON, a list of [parameters, seed]; an empty one has the code made ready alone.
        digests: the tasks' digests, 32 bytes each, in the order of the calls.
        budget: seconds after which no further simulation is begun.
        notice: under which name a worker may say that the chunk is late; empty for not at all.
        is_question: whether only the environment is asked for, for which no code is needed.
    """

    function: Function
    calls: Payload
    digests: Payload
    budget: float
    notice: str = ""
    is_question: bool = False

    def encode(self) -> bytes:
        """Return the chunk as a frame.

        Raises:
            FrameError: if it's over a frame's limits.
        """
        function = self.function
        key, limits = function.public_key, function.limits
        header = {
            "kind": "chunk",
            "bundle_ref": str(function.bundle_ref),
            "fn_ref": function.fn_ref,
            "outputs": list(function.outputs),
            "isolation": function.isolation.value,
            "environment": function.environment.value,
            "limits": {
                "seconds": limits.seconds,
                "memory": limits.memory,
                "files": limits.files,
            },
            "public_key": None if key is None else key.to_pem(),
            "store_url": function.store_url,
            "run_id": function.run_id,
            "targets": [list(target) for target in function.targets],
            "budget": self.budget,
            "notice": self.notice,
            "is_question": self.is_question,
        }
        return encode(Frame(header, (self.calls, self.digests)))

    @classmethod
    def decode(cls, data: bytes) -> "Chunk":
        """Read what `encode` wrote.

        Raises:
            FrameError: if it's something else.
        """
        frame = decode(data)
        try:
            header = frame.header
            if header["kind"] != "chunk":
                raise FrameError(f"{header['kind']!r} isn't a chunk")
            calls, digests = frame.received
            check_fn_ref(header["fn_ref"])
            # A message that lacks it mustn't pass for one that demands no signature.
            pem = header["public_key"]
            function = Function(
                bundle_ref=BundleRef.parse(header["bundle_ref"]),
                fn_ref=header["fn_ref"],
                outputs=tuple(header["outputs"]),
                isolation=Isolation(header["isolation"]),
                environment=EnvironmentMode(header["environment"]),
                limits=RunLimits(**header["limits"]),
                public_key=None if pem is None else PublicKey.from_pem(pem),
                store_url=header["store_url"],
                run_id=header["run_id"],
                targets=tuple((str(name), _checked(ref)) for name, ref in header["targets"]),
            )
            if len(digests) % DIGEST_BYTES:
                raise FrameError("a chunk has a part of a digest")
            budget, is_question = number(header["budget"]), header["is_question"] is True
            return cls(function, calls, digests, budget, header["notice"], is_question)
        except (KeyError, TypeError, ValueError, AttributeError, ContractError) as error:
            raise FrameError(f"this isn't a chunk: {error!r}") from error


@dataclass(frozen=True)
class Done:
    """What became of a chunk.

    Attributes:
        answers: outcomes of simulations, `modelops.worker.answers`; empty if there are none.
        start: which simulation is the first of these; a part of the chunk had those before it.
        starting: seconds that it took until the first call could begin.
        seconds: all calls together, and what belongs to them.
        stopped_at: which simulation ended the child, or -1.
        failure: how that ended it; or why none of the chunk can be run, if `stopped_at` is -1.
        is_final: whether another try would end alike.
        environment: the digest of the environment that they were run in.
        unstored: why the results aren't in the object store, if they should be.
        aligned: which of the answers have, as tables of one column, the points of the function's
            targets instead of the simulation's tables.
    """

    answers: Payload = b""
    starting: float = 0.0
    seconds: float = 0.0
    stopped_at: int = -1
    failure: SimFailure | None = None
    is_final: bool = False
    environment: str = ""
    unstored: str = ""
    start: int = 0
    aligned: tuple[int, ...] = ()


@dataclass(frozen=True)
class LateChunk:
    """What a worker says of a chunk that takes longer than its budget.

    Attributes:
        position: which simulation it's at; it begins none after that.
        is_very_late: whether it was said before, long ago.
        part: the reply for what is done by now, a Done; or empty.
    """

    position: int
    is_very_late: bool = False
    part: bytes = b""


@dataclass(frozen=True)
class Trouble:
    """A worker couldn't run a chunk for reasons that lie outside of it.

    Attributes:
        is_passing: whether it should be run again, as it is where the worker is closing.
    """

    message: str
    hint: str = ""
    is_passing: bool = False


def encode_reply(reply: Done | Trouble) -> bytes:
    """Return a worker's reply as a frame."""
    header: dict[str, Any]
    if isinstance(reply, Trouble):
        header = {"kind": "trouble", "message": clean(reply.message), "hint": clean(reply.hint)}
        return encode(Frame({**header, "is_passing": reply.is_passing}))
    header = {
        "kind": "done",
        "starting": reply.starting,
        "seconds": reply.seconds,
        "stopped_at": reply.stopped_at,
        "failure": failure_to_json(reply.failure),
        "is_final": reply.is_final,
        "environment": reply.environment,
        "unstored": clean(reply.unstored),
        "start": reply.start,
        "aligned": list(reply.aligned),
    }
    return encode(Frame(header, (reply.answers,)))


def decode_reply(data: bytes) -> Done | Trouble:
    """Read what `encode_reply` wrote.

    Raises:
        FrameError: if it's something else.
    """
    frame = decode(data)
    header = frame.header
    try:
        match header["kind"]:
            case "trouble":
                is_passing = header["is_passing"] is True
                return Trouble(str(header["message"]), str(header["hint"]), is_passing)
            case "done":
                (answers,) = frame.received
                return Done(
                    answers=answers,
                    starting=number(header["starting"]),
                    seconds=number(header["seconds"]),
                    stopped_at=int(number(header["stopped_at"])),
                    failure=failure_of_json(header["failure"]),
                    is_final=header["is_final"] is True,
                    environment=str(header["environment"]),
                    unstored=str(header["unstored"]),
                    start=int(number(header["start"])),
                    aligned=tuple(int(number(position)) for position in header["aligned"]),
                )
            case other:
                raise FrameError(f"{other!r} isn't a reply")
    except (KeyError, TypeError, ValueError) as error:
        raise FrameError(f"this isn't a reply: {error!r}") from error


def _checked(fn_ref: str) -> str:
    check_fn_ref(fn_ref)
    return fn_ref
