"""Every bound and time-out, with its reason. Times in seconds unless the name says otherwise."""

# --- the safety protocol -------------------------------------------------------------------------------------

# An intent older than this is not sent: the process was frozen in between, and others may have acted since.
INTENT_MAX_AGE_S = 5.0
# A list page or read that is older than this no longer proves that a server is stopped.
FRESH_READ_MAX_AGE_S = 60.0
# Evidence for an unknown outcome is gathered by reads at most this far apart; a longer gap starts the settle anew.
EVIDENCE_MAX_GAP_S = 60.0
# A machine that slept longer than this between two reads has a gap in its evidence (scheduling noise is below it).
SUSPEND_NOTICED_S = 2.0
# After this many resends of one attempt a human decides.
MAX_RESENDS = 2
# Proven non-deliveries of one target (throttling not counted) before a human decides.
MAX_REFUSALS = 10
# A state conflict is believed when the picture stays the same this long.
CONFLICT_WAIT_S = 60.0
# Two reads this far apart that show a server stopped and idle prove that no stop is still under way.
STOP_QUIET_S = 30.0
# Stop or start calls for one target in one step: more would only hide that it does not obey.
MAX_POWER_CALLS = 4
# fleetos does not stop a server with an unanswered send for a day: a late change must meet a running server.
NO_STOP_AFTER_UNANSWERED_S = 24 * 3600.0
# A job that was just handed out may not be visible yet (API page ecs_02_0901 gives no promise; two minutes seen).
JOB_UNKNOWN_GRACE_S = 120.0
# How long a server may stay in a passing state before its first effect.
CHECKING_S = 600.0
# Settle times: how long an unknown outcome is watched. OTC documents changes of 1-4 minutes, others 10-20.
SETTLE_OTC_S = 600.0
SETTLE_ELSEWHERE_S = 1800.0
SETTLE_MIN_S = 600.0
# The built-in simulated cloud delays nothing for longer than this.
SETTLE_SIM_S = 10.0
# A wait after a refusal that time cures (quota, sold out, backing up): long enough for the cause to pass.
LATER_WAIT_S = 60.0

# --- the run -------------------------------------------------------------------------------------------------

# The cloud counts as unreachable when nothing but failures came for this long, and at least so many of them.
UNREACHABLE_S = 120.0
UNREACHABLE_FAILURES = 10
# Requests of operators are read from the database at this beat.
REQUESTS_EVERY_S = 1.0
# A lease is void when its holder has not renewed it for this long; it is renewed at a quarter of it.
LEASE_TERM_S = 30.0
