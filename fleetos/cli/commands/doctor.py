"""`fleetos doctor`."""

from dataclasses import dataclass, field
from pathlib import Path

import anyio

from fleetos.app.context import AppContext
from fleetos.app.doctor.cloud_probe import probe_cloud
from fleetos.app.doctor.database_probe import probe_database
from fleetos.cli.exit_codes import Leave
from fleetos.cli.output import (
    handle_errors,
    ignore_broken_pipe,
    print_data,
    print_json,
    print_line,
    print_message,
    print_wrapped,
    width,
)
from fleetos.cli.usage.options import Output
from fleetos.cloud.operations import policy as least_policy
from fleetos.cloud.operations import policy_notes
from fleetos.model.diagnosis import Diagnosis, exit_code_of
from fleetos.model.plan import Plan
from fleetos.planning.plan_file.load import load_plan
from fleetos.views.terminal.diagnosis import diagnosis_document, diagnosis_line, doctor_document, sum_line


@dataclass
class _Report:
    """Diagnoses so far; each is shown as soon as it is known, but for the one document of JSON."""

    output: Output
    all: list[Diagnosis] = field(default_factory=list[Diagnosis])

    def add(self, diagnosis: Diagnosis) -> None:
        self.all.append(diagnosis)
        with ignore_broken_pipe():
            if self.output is Output.TABLE:
                print_data(diagnosis_line(diagnosis, width()))
            elif self.output is Output.JSONL:
                print_line(diagnosis_document(diagnosis))

    def end(self) -> int:
        code = exit_code_of(self.all)
        with ignore_broken_pipe():
            if self.output is Output.TABLE:
                print_wrapped(sum_line(self.all))
            elif self.output is Output.JSON:
                print_json(doctor_document(self.all, code))
        return code


@handle_errors
def doctor(plan: Path | None, policy: bool, output: Output, db: str | None, cloud: str | None) -> None:
    """Look at database, clock, credentials, endpoints and permissions, and say what to do about what is wrong."""
    loaded = None if plan is None else load_plan(plan)
    if policy:
        _print_policy(loaded)
        return
    raise Leave(anyio.run(_doctor, AppContext(db, print_message), loaded, cloud, output))


async def _doctor(context: AppContext, plan: Plan | None, cloud: str | None, output: Output) -> int:
    report = _Report(output)
    async with probe_database(context, report.add) as database:
        await probe_cloud(context, plan, cloud, database, report.add)
    return report.end()


def _print_policy(plan: Plan | None) -> None:
    reinstall = plan is not None and any(one.reinstall for one in (plan.change, *(s.change for s in plan.servers)))
    print_json(least_policy(reinstall=reinstall))
    for note in policy_notes(reinstall=reinstall):
        print_message(note)
