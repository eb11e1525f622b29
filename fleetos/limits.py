"""Bounds that several modules share, and the numbers of the safety protocol, each with its reason.

A bound that one module alone uses stands there. Times are in seconds.
"""

# --- the safety protocol (docs/safety-protocol.md) -----------------------------------------------------------

# An older intent is not sent: the process was suspended in between, and others may have acted since.
INTENT_MAX_AGE_S = 5.0
# An older list page or read no longer proves that a server is stopped.
FRESH_READ_MAX_AGE_S = 60.0
# Reads for evidence on an unknown outcome are at most this far apart; after a longer gap the settle time starts again.
EVIDENCE_MAX_GAP_S = 60.0
# A human decides after the change time-out and this many settle times in which no series of reads lasted a settle time.
SELDOM_SEEN_SETTLES = 4
# A machine that slept longer than this between two reads has a gap in its evidence (scheduling noise is below it).
SUSPEND_NOTICED_S = 2.0
# A human decides after this many resends of one attempt.
MAX_RESENDS = 2
# A human decides after this many proven non-deliveries of one target without a recall (throttling not counted).
MAX_REFUSALS = 10
# A state conflict is believed when the server shows the same state for this long.
CONFLICT_WAIT_S = 60.0
# Two reads this far apart that show a server stopped and idle prove that no stop is still under way.
STOP_QUIET_S = 30.0
# Stop or start calls for one target in one step: more would only hide that the server does not obey.
MAX_POWER_CALLS = 4
# fleetos does not stop a server with an unanswered send for a day: a late change must meet a running server.
NO_STOP_AFTER_UNANSWERED_S = 24 * 3600.0
# A new job may not be visible yet (API page ecs_02_0901 promises nothing; two minutes were seen).
JOB_UNKNOWN_GRACE_S = 120.0
# A server may stay in a passing state for this long before the first write to it.
CHECKING_S = 600.0
# Settle times: an unknown outcome is watched for this long. OTC documents changes of 1-4 minutes, others 10-20.
SETTLE_OTC_S = 600.0
# The longest change that the user guides of the clouds document.
CHANGE_DOCUMENTED_MAX_S = 1200.0
SETTLE_ELSEWHERE_S = 1800.0
SETTLE_MIN_S = 600.0
# The built-in simulated cloud has no longer delays.
SETTLE_SIM_S = 10.0
# The wait after a refusal with a passing cause (quota, sold out, backup): long enough for the cause to pass.
LATER_WAIT_S = 60.0

# --- the run -------------------------------------------------------------------------------------------------

# The cloud counts as unreachable after at least UNREACHABLE_FAILURES failures and no success for UNREACHABLE_S.
UNREACHABLE_S = 120.0
UNREACHABLE_FAILURES = 10
# Interval at which the engine reads calendar files that deny times.
CALENDARS_EVERY_S = 60.0
# Interval at which the engine reads requests of operators from the database.
REQUESTS_EVERY_S = 1.0
# A lease is void when its holder has not renewed it for this long. The driver renews it after a quarter of that.
LEASE_TERM_S = 30.0
# If a server looks changed but its job goes on, the job is read again after this share of its age.
ASK_AGAIN_SHARE = 0.25
# Share of the servers with a slot soon that are stopped together.
STOP_GROUP_SHARE = 0.85
# Bounds of the wait until the engine asks again for a permit.
PERMIT_AGAIN_MIN_S = 0.005
PERMIT_AGAIN_MAX_S = 5.0
# The engine takes a turn at least this often, so that a changed clock or a missed wake-up cannot stall a run.
TURN_AT_LEAST_S = 5.0

# --- the store -----------------------------------------------------------------------------------------------

# Interval at which a holder renews its lease: three renewals may fail before the term is over.
LEASE_BEAT_S = LEASE_TERM_S / 4
# Rows that are written or read at a time for a whole run: some megabytes.
ROWS_AT_ONCE = 500
# Records in one page: some megabytes at most.
RECORDS_PER_PAGE = 10_000
# Runs that are compared with a mistyped id, and near ones that a message names.
RUNS_COMPARED = 1_000
RUNS_SUGGESTED = 3
# Servers that one message names; it counts the others.
SERVERS_NAMED = 5

# --- plans and the files they name ---------------------------------------------------------------------------

# The CSV files of a plan together: 100,000 rows of some 300 letters.
ROWS_MAX_BYTES = 32 * 1024 * 1024
# Servers in one plan: engine and store are built and measured for this many.
PLAN_MAX_SERVERS = 100_000
# Values of one key of `select`.
SELECT_VALUES_MAX = 256
# The cloud has no longer names (API page ecs_02_0104: 64, images 128).
TEXT_MAX_LETTERS = 255
LABELS_MAX = 32
LABEL_NAME_MAX_LETTERS = 63
# User data before base64 (API page ecs_02_0202).
USER_DATA_MAX_BYTES = 32 * 1024
# A file that holds one password: anything longer is another file by mistake.
SECRET_FILE_MAX_BYTES = 4096
# A target in flight costs a task and a part of every sweep: more of them would not be faster.
CONCURRENCY_MAX = 10_000
CONNECTIONS_MAX = 256
# Newest answers to requests of a run among which the answer to one is searched, and how long a command waits for it.
ANSWERS_SEARCHED = 200
ANSWER_WAIT_S = 15.0
ANSWER_LOOK_EVERY_S = 0.2
# Longest name of an operator.
NAME_MAX_LETTERS = 100
# Longest reason that an operator may give.
REASON_MAX_LETTERS = 500
# Largest `failure.first` of a plan.
FIRST_MAX = 100
# No step of a rollout takes a week.
DURATION_MAX_S = 7 * 24 * 3600.0
# Requests in one `api.rate`: beyond any cloud's limit.
RATE_MAX_REQUESTS = 1_000_000
# Candidates and near names that one message lists.
CANDIDATES_LISTED = 10

# --- the cloud's API -----------------------------------------------------------------------------------------

# A host that accepts no connection (name, TCP and TLS) by then counts as not reached.
CONNECT_TIMEOUT_S = 10.0
# Time-out of a whole read: a page of 1000 servers takes the cloud several seconds.
READ_TIMEOUT_S = 30.0
# A write that could not leave by then is not sent: the facts behind its decision may have changed.
WRITE_DEPARTS_WITHIN_S = INTENT_MAX_AGE_S
# An answer to a write holds a job id, an answer to a login a catalog: both are far below this.
SMALL_ANSWER_BYTES = 2 * 2**20
# Tokens travel in one header and take several kilobytes (the library's own limit is 8 KiB).
HEADER_BYTES = 128 * 2**10
# Regions that a message lists; a catalog may have thousands.
REGIONS_LISTED = 20
# Passwords that are removed from later texts of the cloud, such as why a job failed: a plan has one or two, and each
# costs a search in every such text.
PASSWORDS_HIDDEN = 16
# Ids and names are shorter than this everywhere in the API; a longer text is not an id.
ID_CHARS = 255
# Servers on one list page, and servers in one stop or start call (ECS API reference).
LIST_PAGE = 1000
POWER_CALL_SERVERS = 1000
# The largest page of EPS; an account has some dozens of projects. Keys are read one by one; plans name one or two.
ENTERPRISE_PAGE, ENTERPRISE_PAGES, KEYS_ASKED = 1000, 5, 50
# Learned limits are forgotten after this: clouds raise limits, and other users of the limit end. A new simulated cloud
# is made in no time.
LIMIT_FORGOTTEN_S = 7 * 24 * 3600.0
LIMIT_FORGOTTEN_LOOPBACK_S = 600.0
# The longest wait for a Retry-After or a window in the text of a 429.
CLOSURE_STATED_MAX_S = 3600.0
# The clock of the action log may be this far behind the clock of answers, or behind ours if answers have no date.
TRACE_SKEW_S = 10.0
# Time-out of one check of `fleetos doctor`: a read with its repetitions takes less. A database file is read whole.
EXAMINED_WITHIN_S = 20.0
DATABASE_EXAMINED_WITHIN_S = 60.0

# --- the simulated cloud -------------------------------------------------------------------------------------

# Each request is compared with every rule.
SIM_RULES_MAX = 200
# Every request of the API is far below this; a larger one is refused before it is parsed.
SIM_BODY_BYTES_MAX = 256 * 1024
# A start loads Python, the libraries and the journal: a third of a second, on a loaded machine many times that.
SIM_READY_S = 30.0
