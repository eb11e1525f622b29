"""Jobs and sub-jobs: one job per accepted write, with one sub-job per server in a call for several servers."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from fleetos.sim.wire.response_types import JobShown, JobStatus, OneServer, SeveralServers, TaskShown


@dataclass(slots=True)
class Task:
    """Part of a job that concerns one server."""

    id: str
    server_id: str
    ended_at: float | None = None
    error_code: str | None = None
    reason: str | None = None


@dataclass(slots=True)
class SimJob:
    """Job of an accepted write."""

    id: str
    type: str
    begun_at: float
    running_at: float
    """When its status becomes RUNNING."""
    single: bool
    """The job names its server in `entities`; others have sub-jobs."""
    tasks: list[Task] = field(default_factory=list[Task])
    stuck: bool = False
    """The job stays INIT for ever."""
    visible_after_s: float = 0.0
    vanishes_after_s: float = 86400.0

    @property
    def ended_at(self) -> float | None:
        """Time at which the last task ended, or None."""
        ends = [task.ended_at for task in self.tasks]
        if self.stuck or any(end is None for end in ends):
            return None
        return max((end for end in ends if end is not None), default=self.begun_at)

    def is_visible(self, now: float) -> bool:
        """Return whether a query finds the job: not before it is visible, not after it was purged."""
        ended_at = self.ended_at
        if now < self.begun_at + self.visible_after_s:
            return False
        return ended_at is None or now < ended_at + self.vanishes_after_s


def show_job(job: SimJob, now: float) -> JobShown:
    """Return a job as `GET jobs/{id}` shows it (API page ecs_02_0901)."""
    ended_at = job.ended_at
    content: JobShown = {
        "job_id": job.id,
        "job_type": job.type,
        "status": _status(job, now),
        "begin_time": _format_time_ms(job.begun_at),
        "end_time": _format_time_ms(ended_at) if ended_at is not None else "",
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
    sub_jobs = [_show_sub_job(job, task, now) for task in job.tasks]
    return {"sub_jobs_total": len(sub_jobs), "sub_jobs": sub_jobs}


def _status(job: SimJob, now: float) -> JobStatus:
    if job.ended_at is not None:
        return "FAIL" if any(task.error_code is not None for task in job.tasks) else "SUCCESS"
    return "INIT" if job.stuck or now < job.running_at else "RUNNING"


def _show_sub_job(job: SimJob, task: Task, now: float) -> TaskShown:
    has_ended = task.ended_at is not None and not job.stuck
    status_before: JobStatus = "INIT" if job.stuck or now < job.running_at else "RUNNING"
    status_after: JobStatus = "SUCCESS" if task.error_code is None else "FAIL"
    return {
        "job_id": task.id,
        "job_type": job.type,
        "status": status_after if has_ended else status_before,
        "begin_time": _format_time_ms(job.begun_at),
        "end_time": _format_time_ms(task.ended_at) if task.ended_at is not None and has_ended else "",
        "error_code": task.error_code if has_ended else None,
        "fail_reason": task.reason if has_ended else None,
        "entities": {"server_id": task.server_id, "errorcode_message": task.reason or ""},
    }


def _format_time_ms(time_s: float) -> str:
    moment = datetime.fromtimestamp(time_s, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
