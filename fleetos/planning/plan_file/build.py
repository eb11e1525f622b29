"""Build a Plan from validated values: read the files that it names, and check keys against each other."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fleetos.errors import Problem
from fleetos.files import FileTooLarge, UnreadableFile, read_bounded
from fleetos.limits import PLAN_MAX_SERVERS, ROWS_MAX_BYTES, USER_DATA_MAX_BYTES
from fleetos.model.plan import (
    USUAL_OCCASIONS,
    AllowedServer,
    ApiChoice,
    ApiLimits,
    ChangeSpec,
    Exclusion,
    FailurePolicy,
    NotifyEntry,
    Occasion,
    Plan,
    Polling,
    PowerAfter,
    Rollout,
    Selector,
    ServerRef,
    SourcePosition,
    StopMode,
    Timeouts,
    UserDataRef,
)
from fleetos.planning.plan_file.csv_servers import read_csv_servers
from fleetos.planning.plan_file.digest import content_digest
from fleetos.planning.plan_file.duplicates import merge_servers
from fleetos.planning.plan_file.schema import (
    ChangeSection,
    ExcludedId,
    MetadataSection,
    PlanShape,
    SelectSection,
    ServerById,
    ServerByName,
    ServerFile,
    ServerSelect,
)
from fleetos.planning.plan_file.schema_rollout import NotifySection
from fleetos.planning.plan_file.selector_section import build_selector
from fleetos.planning.plan_file.steering_build import SteeringBuilder
from fleetos.planning.plan_file.units import format_duration
from fleetos.planning.plan_file.user_data import user_data_doubts, user_data_fault
from fleetos.planning.plan_file.validation import place_of
from fleetos.planning.plan_file.value_types import UserDataEntry
from fleetos.yaml_file import KeyPath, Node, dotted

# Servers listed in a plan and its files before duplicates are merged: nobody lists each server three times.
PLAN_MAX_LISTED = 200_000
# Entries with `select`: each is compared with every server of the project.
SELECTORS_MAX = 100
# At most this many different user data of one plan are parsed to check that cloud-init will read them.
_USER_DATA_CHECKED_MAX = 100
_LISTS = frozenset({("servers",), ("exclude",), ("allow_managed",), ("allow_protected",)})


def build_plan(
    shape: PlanShape, root: Node, path: Path, pruned: frozenset[KeyPath]
) -> tuple[Plan, tuple[Problem, ...]]:
    """Return the plan, and the problems that its shape alone does not show.

    `pruned` are the paths that were left out of the shape because of problems: a key that is missing only for this
    reason is not reported again.
    """
    builder = _Builder(root, path, pruned)
    change = builder.build_change(shape.change, ("change",))
    servers = builder.build_servers(shape)
    builder.check_changes(change, servers)
    builder.check_times(shape)
    steering = SteeringBuilder(path.absolute().parent, pruned, builder.place)
    plan = Plan(
        path=path.absolute(),
        name=shape.name,
        change=change,
        servers=servers,
        digest="",
        cloud=shape.cloud,
        region=shape.region,
        exclude=builder.build_exclusions(shape),
        allow_managed=builder.build_allowed("allow_managed", shape.allow_managed),
        allow_protected=builder.build_allowed("allow_protected", shape.allow_protected),
        rollout=Rollout(
            shape.rollout.concurrency,
            StopMode(shape.rollout.stop),
            shape.rollout.force,
            PowerAfter(shape.rollout.power_after),
        ),
        failure=FailurePolicy(
            shape.failure.attempts, shape.failure.backoff, shape.failure.max_backoff, shape.failure.first
        ),
        timeouts=Timeouts(shape.timeouts.stop, shape.timeouts.change, shape.timeouts.settle, shape.timeouts.start),
        polling=Polling(shape.polling.min, shape.polling.max),
        api=_api_limits(shape),
        steering=steering.build(shape),
        notify=tuple(map(_notify_entry, shape.notify)),
        places=builder.places(),
        doubts=tuple(builder.doubts),
    )
    return replace(plan, digest=content_digest(plan)), (*builder.problems, *steering.problems)


def _api_limits(shape: PlanShape) -> ApiLimits:
    rate = shape.api.rate
    if rate is None:
        return ApiLimits(None, None, shape.api.connections)
    return ApiLimits(rate.steady_per_s, rate.burst, shape.api.connections)


def _notify_entry(section: NotifySection) -> NotifyEntry:
    """Return the receiver, with its occasions in their usual order."""
    written = USUAL_OCCASIONS if section.on is None else section.on
    return NotifyEntry(section.url, tuple(occasion for occasion in Occasion if occasion in written), section.secret)


def _metadata(section: MetadataSection) -> dict[str, str]:
    return {key: str(value) for key, value in section.model_dump(by_alias=True, exclude_none=True).items()}


def _names_image(change: ChangeSpec) -> bool:
    return change.image is not None or change.reinstall is not None


class _Builder:
    def __init__(self, root: Node, path: Path, pruned: frozenset[KeyPath]) -> None:
        self.problems: list[Problem] = []
        self.doubts: list[Problem] = []
        self._checked_user_data: set[bytes] = set()
        self._root = root
        self._path = path
        self._pruned = pruned
        self._file = str(path)
        self._digests: dict[str, str | None] = {}
        self._files: set[Path] = set()
        self._bytes_left = ROWS_MAX_BYTES
        self._user_data_refused: set[Problem] = set()
        self._selectors = 0

    def place(self, path: KeyPath) -> SourcePosition:
        """Return the position of a path, or of the nearest one around it."""
        return place_of(self._root, path, self._file)

    def places(self) -> dict[str, SourcePosition]:
        """Return the places of all keys except those inside lists; `""` is the whole file."""
        positions: dict[str, SourcePosition] = {}
        open_paths: list[tuple[KeyPath, Node]] = [((), self._root)]
        while open_paths:
            path, node = open_paths.pop()
            positions[dotted(path)] = self.place(path)
            if path[:1] not in _LISTS:
                open_paths += [((*path, key), below) for key, below in node.below.items()]
        return positions

    def build_change(self, section: ChangeSection | None, path: KeyPath) -> ChangeSpec:
        """Build the change that a section describes, with digests of its files."""
        if section is None:
            return ChangeSpec()
        written = section.model_fields_set
        places = {key: self.place((*path, key)) for key in written}
        if section.keyname is not None and section.adminpass is not None:
            self.problems.append(places["adminpass"].problem("at most one of keyname and adminpass", "remove one"))
        if section.image is not None and section.reinstall is not None:
            self.problems.append(places["reinstall"].problem("at most one of image and reinstall", "remove one"))
        metadata = None if section.metadata is None else _metadata(section.metadata)
        if metadata and "__system__cmkid" in metadata and metadata.get("__system__encrypted") != "1":
            place = self.place((*path, "metadata", "__system__cmkid"))
            if (*path, "metadata", "__system__encrypted") not in self._pruned:
                self.problems.append(place.problem('__system__encrypted: "1" beside it', "add it, or remove the key"))
        return ChangeSpec(
            image=section.image,
            reinstall=section.reinstall,
            api=ApiChoice(section.api) if "api" in written else None,
            keyname=section.keyname,
            userid=section.userid,
            adminpass=section.adminpass,
            user_data=None if section.user_data is None else self._user_data(section.user_data, places["user_data"]),
            metadata=metadata,
            places=places,
        )

    def _user_data(self, entry: UserDataEntry, place: SourcePosition) -> UserDataRef | None:
        if entry.kind == "text":
            data = entry.content.encode()
            self._check_user_data_content("the text", data, place)
            return UserDataRef(str(self._path.absolute()), in_plan=True, sha256=hashlib.sha256(data).hexdigest())
        path = self._path.absolute().parent / entry.content
        if str(path) not in self._digests:
            self._digests[str(path)] = self._file_digest(path, place)
        digest = self._digests[str(path)]
        return None if digest is None else UserDataRef(str(path), in_plan=False, sha256=digest)

    def _file_digest(self, path: Path, place: SourcePosition) -> str | None:
        try:
            data = read_bounded(path, USER_DATA_MAX_BYTES)
        except FileTooLarge:
            self.problems.append(place.problem(f"user data of at most {USER_DATA_MAX_BYTES} bytes; {path} is larger"))
            return None
        except UnreadableFile as error:
            self.problems.append(place.problem(f"a file with user data: {error.expected}", error.hint))
            return None
        self._check_user_data_content(str(path), data, place)
        return hashlib.sha256(data).hexdigest()

    def _check_user_data_content(self, subject: str, data: bytes, place: SourcePosition) -> None:
        fault = user_data_fault(data)
        if fault is not None:
            self.problems.append(place.fault(f"{subject} {fault[0]}", fault[1]))
            return
        if data not in self._checked_user_data and len(self._checked_user_data) < _USER_DATA_CHECKED_MAX:
            self._checked_user_data.add(data)
            self.doubts += [place.fault(f"{subject} {text}", hint) for text, hint in user_data_doubts(data)]

    def build_servers(self, shape: PlanShape) -> tuple[ServerRef, ...]:
        """Build the servers of the list and of its CSV files, in order, duplicates merged."""
        count = len(self._root.below["servers"].below)
        positions = (index for index in range(count) if ("servers", index) not in self._pruned)
        listed: list[ServerRef] = []
        for index, entry in zip(positions, shape.servers, strict=True):
            path = ("servers", index)
            if len(listed) > PLAN_MAX_LISTED:
                self.problems.append(self.place(path).problem(f"at most {PLAN_MAX_SERVERS} servers in a plan"))
                return tuple(listed)
            if isinstance(entry, ServerFile):
                listed += self._csv_servers(entry, path)
                continue
            listed.append(self._listed_server(entry, path))
        kept, contradictions = merge_servers(((ref.id, ref.name, ref.called, ref.select), ref) for ref in listed)
        self.problems += contradictions
        if len(kept) > PLAN_MAX_SERVERS:
            self.problems.append(self.place(("servers",)).problem(f"at most {PLAN_MAX_SERVERS} servers in a plan"))
        if not kept and not self.problems and not self._pruned:
            self.problems.append(self.place(("servers",)).problem("at least one server; the files hold none"))
        return tuple(kept.values())

    def _listed_server(self, entry: ServerById | ServerByName | ServerSelect, path: KeyPath) -> ServerRef:
        change = self.build_change(entry.change, (*path, "change"))
        match entry:
            case ServerById():
                return ServerRef(entry.id, None, change, entry.labels, self.place((*path, "id")))
            case ServerByName():
                return ServerRef(None, entry.name, change, entry.labels, self.place((*path, "name")))
            case ServerSelect():
                place = self.place((*path, "select"))
                return ServerRef(None, None, change, entry.labels, place, self._selector(entry.select, path))

    def _selector(self, section: SelectSection, entry: KeyPath) -> Selector:
        path = (*entry, "select")
        self._selectors += 1
        if self._selectors == SELECTORS_MAX + 1:
            self.problems.append(self.place(path).problem(f"at most {SELECTORS_MAX} entries with `select`"))
        if not section.model_fields_set and not any(pruned[: len(path)] == path for pruned in self._pruned):
            self.problems.append(self.place(path).problem("at least one key", 'all servers are {name: "*"}'))
        return build_selector(section, lambda *keys: self.place((*path, *keys)))

    def _csv_servers(self, entry: ServerFile, path: KeyPath) -> list[ServerRef]:
        file = self._path.parent / entry.file
        if file in self._files:
            # The same rows again would name the same servers.
            return []
        self._files.add(file)
        try:
            rows = read_csv_servers(file, self._bytes_left)
        except FileTooLarge:
            expected = f"CSV files of at most {ROWS_MAX_BYTES} bytes together; {file} is larger than what is left"
            self.problems.append(self.place((*path, "file")).problem(expected))
            return []
        except UnreadableFile as error:
            if error.line is not None:
                self.problems.append(Problem(str(file), error.line, error.column, "", error.expected, error.hint))
            else:
                self.problems.append(self.place((*path, "file")).problem(f"a CSV file: {error.expected}", error.hint))
            return []
        self._bytes_left -= rows.size
        self.problems += rows.problems
        return rows.servers

    def build_exclusions(self, shape: PlanShape) -> tuple[Exclusion, ...]:
        """Build the exclusions."""
        count = len(self._root.below["exclude"].below) if "exclude" in self._root.below else 0
        positions = (index for index in range(count) if ("exclude", index) not in self._pruned)
        exclusions: list[Exclusion] = []
        for index, entry in zip(positions, shape.exclude, strict=False):
            if isinstance(entry, ExcludedId):
                exclusions.append(Exclusion(entry.id, None, self.place(("exclude", index, "id"))))
            else:
                exclusions.append(Exclusion(None, entry.name, self.place(("exclude", index, "name"))))
        return tuple(exclusions)

    def build_allowed(self, key: str, names: Sequence[str]) -> tuple[AllowedServer, ...]:
        """Build the servers that a list allows to change; none if the list has problems of its own."""
        if any(pruned[:1] == (key,) for pruned in self._pruned):
            return ()
        return tuple(AllowedServer(name, self.place((key, index))) for index, name in enumerate(names))

    def check_changes(self, change: ChangeSpec, servers: tuple[ServerRef, ...]) -> None:
        """Add a problem where a server has no image, or where user data is for an API that takes none."""
        self._check_user_data(change)
        for server in servers:
            if server.change.api is not None or server.change.user_data is not None:
                self._check_user_data(server.change.over(change))
        if _names_image(change) or any(path[-1] in ("image", "reinstall", "change") for path in self._pruned):
            return
        bare = [server for server in servers if not _names_image(server.change)]
        if len(bare) == len(servers):
            self.problems.append(self.place(("change", "image")).problem("the image that the servers get"))
        elif bare:
            others = f" (and {len(bare) - 1} more servers)" if len(bare) > 1 else ""
            expected = f"an image for this server{others}"
            self.problems.append(bare[0].place.problem(expected, "say `image` under `change`, here or at the top"))

    def _check_user_data(self, change: ChangeSpec) -> None:
        if change.api is ApiChoice.V1 and change.user_data is not None:
            problem = change.places["user_data"].problem("no user data with `api: v1`", "user data needs v2")
            if problem not in self._user_data_refused:
                self._user_data_refused.add(problem)
                self.problems.append(problem)

    def check_times(self, shape: PlanShape) -> None:
        """Add a problem where a lower bound is above its upper bound."""
        if shape.failure.backoff > shape.failure.max_backoff:
            most = format_duration(shape.failure.max_backoff)
            self._add_bound_problem(("failure", "backoff"), ("failure", "max_backoff"), most)
        if shape.polling.min > shape.polling.max:
            self._add_bound_problem(("polling", "min"), ("polling", "max"), format_duration(shape.polling.max))

    def _add_bound_problem(self, low: KeyPath, high: KeyPath, most: str) -> None:
        if low not in self._pruned and high not in self._pruned:
            self.problems.append(self.place(low).problem(f"at most {dotted(high)}, which is {most}"))
