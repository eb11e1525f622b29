"""The jobs of the simulated cloud: one per accepted write, with one sub job per server in a multi-server call."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from fleetos.sim.wire.response_types import JobShown, JobStatus, OneServer, SeveralServers, TaskShown


@dataclass(slots=True)
class Task:
    """The part of a job that belongs to one server."""

    id: str
    server_id: str
    ended_at: float | None = None
    error_code: str | None = None
    reason: str | None = None


@dataclass(slots=True)
class SimJob:
    """One job. `single` jobs name their server in `entities`, the others have sub jobs."""

    id: str
    type: str
    begun_at: float
    running_at: float
    single: bool
    tasks: list[Task] = field(default_factory=list[Task])
    stuck: bool = False
    visible_after_s: float = 0.0
    vanishes_after_s: float = 86400.0

    @property
    def ended_at(self) -> float | None:
        """When the last of its tasks ended, or None."""
        ends = [task.ended_at for task in self.tasks]
        if self.stuck or any(end is None for end in ends):
            return None
        return max((end for end in ends if end is not None), default=self.begun_at)

    def known(self, now: float) -> bool:
        """Whether a query finds it: not before it is visible, not after it was purged."""
        ended_at = self.ended_at
        if now < self.begun_at + self.visible_after_s:
            return False
        return ended_at is None or now < ended_at + self.vanishes_after_s


def picture(job: SimJob, now: float) -> JobShown:
    """Return a job as `GET jobs/{id}` shows it (API page ecs_02_0901)."""
    ended_at = job.ended_at
    content: JobShown = {
        "job_id": job.id,
        "job_type": job.type,
        "status": _status(job, now),
        "begin_time": _stamp_ms(job.begun_at),
        "end_time": _stamp_ms(ended_at) if ended_at is not None else "",
        "entities": _entities(job, now),
    }
    failed = next((task for task in job.tasks if task.error_code is not None), None)
    if ended_at is not None:
        code, reason = (failed.error_code, failed.reason) if failed is not None else (None, None)
        if failed is not None and not job.single:
            code, reason = "Common.0021", "A sub job failed."
        content["error_code"], content["fail_reason"] = code, reason
    return content


def _entities(job: SimJob, now: float) -> OneServer | SeveralServers:
    if job.single:
        return {"server_id": job.tasks[0].server_id}
    subs = [_sub_job(job, task, now) for task in job.tasks]
    return {"sub_jobs_total": len(subs), "sub_jobs": subs}


def _status(job: SimJob, now: float) -> JobStatus:
    if job.ended_at is not None:
        return "FAIL" if any(task.error_code is not None for task in job.tasks) else "SUCCESS"
    return "INIT" if job.stuck or now < job.running_at else "RUNNING"


def _sub_job(job: SimJob, task: Task, now: float) -> TaskShown:
    ended = task.ended_at is not None and not job.stuck
    running: JobStatus = "INIT" if job.stuck or now < job.running_at else "RUNNING"
    final: JobStatus = "SUCCESS" if task.error_code is None else "FAIL"
    return {
        "job_id": task.id,
        "job_type": job.type,
        "status": final if ended else running,
        "begin_time": _stamp_ms(job.begun_at),
        "end_time": _stamp_ms(task.ended_at) if task.ended_at is not None and ended else "",
        "error_code": task.error_code if ended else None,
        "fail_reason": task.reason if ended else None,
        "entities": {"server_id": task.server_id, "errorcode_message": task.reason or ""},
    }


def _stamp_ms(at: float) -> str:
    moment = datetime.fromtimestamp(at, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
