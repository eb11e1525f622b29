"""The tests of a module are found by its path: `tests/unit/<room>/test_<module>.py`, with a theme behind if many.

`tests/contract` counts as well, where one suite holds several implementations. The command line is tested by commands,
in `tests/cli`.
"""

from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "fleetos"

# Modules that are tested through others. Take off what gets tests of its own; nothing is added.
WITHOUT_NAMESAKE = frozenset(
    {
        "app/doctor/cloud_checks.py",
        "app/doctor/cloud_probe.py",
        "app/doctor/cloud_rules.py",
        "app/doctor/database_probe.py",
        "app/doctor/database_rules.py",
        "app/results.py",
        "clock.py",
        "cloud/api/action_log.py",
        "cloud/api/decode.py",
        "cloud/api/reads.py",
        "cloud/api/request_bodies.py",
        "cloud/auth/clouds_yaml.py",
        "cloud/auth/credentials.py",
        "cloud/auth/environment.py",
        "cloud/auth/known_clouds.py",
        "cloud/auth/password_sources.py",
        "cloud/auth/request_auth.py",
        "cloud/http/classification.py",
        "cloud/http/json_fields.py",
        "cloud/http/response.py",
        "cloud/rate/token_bucket.py",
        "engine/agenda.py",
        "engine/facts.py",
        "engine/judge.py",
        "engine/performer.py",
        "engine/protocols.py",
        "engine/reconcile.py",
        "engine/rollout/window_times.py",
        "engine/turn.py",
        "errors.py",
        "ids.py",
        "limits.py",
        "model/diagnosis.py",
        "model/drift.py",
        "model/findings.py",
        "model/inventory.py",
        "model/journal/events.py",
        "model/journal/requests.py",
        "model/permit.py",
        "model/preview.py",
        "model/progress.py",
        "model/run.py",
        "model/steering/match.py",
        "model/steering/rollout.py",
        "model/steering/share.py",
        "model/steering/windows.py",
        "model/traces.py",
        "planning/local_time.py",
        "planning/plan_file/build.py",
        "planning/plan_file/duplicates.py",
        "planning/plan_file/schema.py",
        "planning/plan_file/schema_rollout.py",
        "planning/plan_file/selector_section.py",
        "planning/plan_file/steering_types.py",
        "planning/plan_file/validation.py",
        "planning/preflight/image_pins.py",
        "planning/preflight/orders.py",
        "planning/preflight/project_checks.py",
        "planning/preflight/project_facts.py",
        "planning/settings.py",
        "planning/skip_or_hold.py",
        "rules/admission/journal_facts.py",
        "rules/admission/pass_facts.py",
        "rules/admission/slots.py",
        "rules/admission/stop_rate.py",
        "rules/admission/wait_reasons.py",
        "rules/needs.py",
        "rules/states/ready.py",
        "sim/api/action_log.py",
        "sim/api/gateway.py",
        "sim/api/grants.py",
        "sim/api/openstack.py",
        "sim/api/quotas.py",
        "sim/api/request_bodies.py",
        "sim/api/routes.py",
        "sim/api/tokens.py",
        "sim/random_draws.py",
        "sim/scenario/fault_table.py",
        "sim/scenario/images.py",
        "sim/scenario/load.py",
        "sim/server/admin.py",
        "sim/server/asgi.py",
        "sim/server/builtin.py",
        "sim/server/serve.py",
        "sim/server/state_folder.py",
        "sim/wire/error_codes.py",
        "sim/wire/messages.py",
        "sim/wire/openstack_types.py",
        "sim/wire/quota_types.py",
        "sim/wire/response_types.py",
        "sim/world/delivery.py",
        "sim/world/jobs.py",
        "sim/world/ledger.py",
        "sim/world/orders.py",
        "sim/world/servers.py",
        "store/database/dialects.py",
        "store/database/sqlite_files.py",
        "store/database/tables.py",
        "store/integrity.py",
        "store/queries.py",
        "store/rows.py",
        "views/documents/document.py",
        "views/documents/rollout.py",
        "views/documents/event_types.py",
        "views/documents/preview.py",
        "views/observer.py",
        "views/text/target_notes.py",
        "yaml_file.py",
    }
)


def has_namesake(module: Path) -> bool:
    """Return whether a file of tests has the module's name."""
    folders = (ROOT / "tests" / "unit" / module.parent, ROOT / "tests" / "contract")
    names = (f"test_{module.stem}.py", f"test_{module.stem}_*.py")
    return any(True for folder in folders for name in names for _ in folder.glob(name))


def modules() -> list[Path]:
    """Return the modules of the program, but for the command line, by their paths below it."""
    files = (file.relative_to(PACKAGE) for file in sorted(PACKAGE.rglob("*.py")))
    return [file for file in files if not file.stem.startswith("__") and file.parts[0] != "cli"]


def test_the_tests_of_a_module_are_found_by_its_path() -> None:
    missing = {str(module) for module in modules() if not has_namesake(module)}
    assert not sorted(missing - WITHOUT_NAMESAKE), "write tests under the name of the module"


def test_the_exceptions_are_still_exceptions() -> None:
    missing = {str(module) for module in modules() if not has_namesake(module)}
    assert not sorted(WITHOUT_NAMESAKE - missing), "take these off the list"
