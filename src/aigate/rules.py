"""What a manifest puts in force: policies and parameters, read, bound and held against each other."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from aigate.collect.manifest_file import LoadedManifest, unknown_key
from aigate.collect.policy_files import doubles, is_folder, look_through, read_policies, standard_folder
from aigate.collect.policy_packages import look_into
from aigate.decision import PolicyInfo
from aigate.digest import digest_bytes
from aigate.errors import AigateError, ConfigError, PolicyCodeError, UsageError
from aigate.isolate import Isolate
from aigate.manifest import PRODUCTION, Environment, PolicySelection
from aigate.policy import PolicyFile
from aigate.values import Digest


def catalogue(loaded: LoadedManifest | None, environment: str) -> tuple[PolicyInfo, ...]:
    """Return every policy in force with its parameters; without a manifest, the standard pack."""
    if loaded is None:
        files, params = read_standard(), {}
    else:
        files, params = policies_in_force(loaded), environment_of(loaded, environment).params
        check_settings(loaded, environment, files)
    with Isolate(files, params) as isolate:
        return tuple(sorted(isolate.describe().infos, key=lambda info: info.id))


def environment_of(loaded: LoadedManifest, name: str) -> Environment:
    """Return an environment's settings. `production` need not be declared; a misspelt one is an error."""
    environments = loaded.manifest.environments
    if name in environments:
        return environments[name]
    if name == PRODUCTION:
        return Environment()
    raise UsageError(unknown_key(name, [*environments, PRODUCTION], "environment"), fix=f"see {loaded.shown}")


def read_standard() -> tuple[PolicyFile, ...]:
    """Return the standard pack."""
    return read_policies(standard_folder(), shown="standard", standard=True)


def policies_in_force(loaded: LoadedManifest) -> tuple[PolicyFile, ...]:
    """Return the standard pack, unless it is left out, those from elsewhere, and those beside the manifest.

    Raises ConfigError where none is left: an empty set has nothing to say; and
    where policies from elsewhere are not there, or not the ones required.
    """
    files, errors = _readable(loaded)
    for error in (*errors, *doubles(files)):
        raise error
    return files


def _readable(loaded: LoadedManifest) -> tuple[tuple[PolicyFile, ...], tuple[AigateError, ...]]:
    """Return the policies in force that can be read, and everything that is wrong with the others."""
    selection = loaded.manifest.policies
    files = read_standard() if selection.standard else ()
    errors: tuple[AigateError, ...] = ()
    for number, wanted in enumerate(selection.packages):
        more, wrong = look_into(
            wanted, loaded.folder, place=loaded.place("policies", "packages", number, "digest")
        )
        files, errors = files + more, errors + wrong
    folder = loaded.folder / selection.path
    if is_folder(folder, selection.path):
        own, wrong = look_through(folder, shown=selection.path)
        files, errors = files + own, errors + wrong
    elif selection.path != PolicySelection().path:
        errors += (
            ConfigError(
                f"there is no folder {selection.path!r} beside the manifest",
                place=loaded.place("policies", "path"),
            ),
        )
    if not files and not errors:
        errors = (
            ConfigError(
                "no policy is in force",
                place=loaded.place("policies"),
                fix="leave `standard: true`, or put policies into the folder",
            ),
        )
    return files, errors


def check_settings(loaded: LoadedManifest, environment: str, files: Iterable[PolicyFile]) -> None:
    """Refuse a level or a parameter for a policy that is not there: it would select nothing."""
    for error in _idle_settings(loaded, environment, files):
        raise error


def _idle_settings(
    loaded: LoadedManifest, environment: str, files: Iterable[PolicyFile]
) -> Iterator[ConfigError]:
    ids = [id for file in files for id in file.policies]
    themes = sorted({id.partition(".")[0] for id in ids})
    settings = loaded.manifest.environments.get(environment, Environment())
    for key in settings.levels:
        if key != "*" and key not in ids and key not in themes:
            yield _idle(loaded, (environment, "levels", key), [*ids, *themes, "*"])
    for key in settings.params:
        if key not in ids:
            yield _idle(loaded, (environment, "params", key), ids)


def _idle(loaded: LoadedManifest, keys: tuple[str, str, str], known: list[str]) -> ConfigError:
    return ConfigError(
        unknown_key(keys[-1], known, "policy"),
        place=loaded.place("environments", *keys),
        fix="`aigate policies` lists those in force",
    )


@dataclass(frozen=True)
class Rules:
    """What a manifest puts in force, in every environment; sound where there are no errors."""

    environments: tuple[str, ...]
    policies: tuple[str, ...]
    """The ids of those that load."""
    errors: tuple[AigateError, ...]
    files: tuple[PolicyFile, ...] = ()
    """Everything that can be read, the standard pack too."""


def check_rules(loaded: LoadedManifest) -> Rules:
    """Load every policy in force, with its parameters in every environment; return all that is wrong.

    `production` counts also where the manifest does not list it. Asks nothing
    of the world. Raises AigateError where policies cannot be run at all.
    """
    environments = tuple(dict.fromkeys((*loaded.manifest.environments, PRODUCTION)))
    readable, errors = _readable(loaded)
    found = [*errors, *doubles(readable)]
    if not errors:  # else the policy that a setting is for may be among what cannot be read
        found += [e for name in environments for e in _idle_settings(loaded, name, readable)]
    files, unsound = _loading(readable)
    found += unsound
    for name in environments:
        params = environment_of(loaded, name).params
        if params and _trial(files, params):
            found += _misfits(loaded, name, files)
    return Rules(environments, tuple(id for file in files for id in file.policies), tuple(found), readable)


def _loading(files: tuple[PolicyFile, ...]) -> tuple[tuple[PolicyFile, ...], list[AigateError]]:
    """Return the files that load, and what is wrong with the others: tried one by one where there are any."""
    if not _trial(files, {}):
        return files, []
    trials = [(file, _trial((file,), {})) for file in files]
    return tuple(file for file, e in trials if not e), [e for _, e in trials if e]


def _misfits(loaded: LoadedManifest, environment: str, files: Iterable[PolicyFile]) -> Iterator[AigateError]:
    """Yield what is wrong with an environment's parameters, each tried by itself."""
    wanted = environment_of(loaded, environment).params
    holders = {id: file for file in files for id in file.policies}
    for id in (id for id in wanted if id in holders):
        for key, value in wanted[id].items():
            if error := _trial((holders[id],), {id: {key: value}}):
                place = loaded.place("environments", environment, "params", id, key)
                yield ConfigError(error.message, place=place, fix=error.fix)


def _trial(
    files: tuple[PolicyFile, ...], params: Mapping[str, Mapping[str, object]]
) -> PolicyCodeError | None:
    """Load files in a process of their own; return what is wrong, or the first of it."""
    try:
        with Isolate(files, params) as isolate:
            answers = isolate.describe()
    except PolicyCodeError as e:
        return e
    for info in answers.infos:
        if info.id in answers.results:  # nothing was asked of it, so this is why it cannot be
            return PolicyCodeError(f"{info.file}: {answers.results[info.id].reason}")
        if info.id in answers.broken:
            return PolicyCodeError(f"{info.file}: policy {info.id} {answers.broken[info.id]}")
    return None


def policies_digest(files: Iterable[PolicyFile]) -> Digest:
    """Return one digest over every policy file: name and content, in order."""
    lines = "".join(f"{file.digest}  {file.shown}\n" for file in files)
    return digest_bytes(lines.encode())
