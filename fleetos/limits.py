"""Bounds, time-outs and the numbers of the safety protocol, each with its reason. Times are in seconds."""

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
# A human decides after this many proven non-deliveries of one target (throttling not counted).
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
# Interval at which the engine reads requests of operators from the database.
REQUESTS_EVERY_S = 1.0
# A lease is void when its holder has not renewed it for this long. The driver renews it after a quarter of that.
LEASE_TERM_S = 30.0
# The wait after a failed read of a server; it doubles up to the plan's polling.max.
READ_AGAIN_S = 1.0
# A human decides after this many reads in a row without news of a server, while the cloud answers other reads: an hour
# or more at the usual polling.max.
UNREAD_MAX = 60
# The wait after a write that did not leave; all waits together are longer than UNREACHABLE_S.
NOT_SENT_WAIT_S = 15.0
# Reads that are due this soon are sent together with those due now (share of polling.min).
POLL_GROUP_SHARE = 0.25
# A sweep pays off when at least this many changes per call are expected to have ended since the last one.
ENDS_PER_SWEEP_CALL = 2.8
# With fewer changes at once: when the first end is this likely, a sweep follows within SWEEP_TYPICAL_SHARE of a typical
# change.
FIRST_END_LIKELY = 0.25
SWEEP_TYPICAL_SHARE = 0.03
# While the duration of changes is unknown, the next sweep follows after this share of their age.
UNKNOWN_SWEEP_AGE_SHARE = 0.1
# If a server looks changed but its job goes on, the job is read again after this share of its age.
ASK_AGAIN_SHARE = 0.25
# The job of a change is read at the age by which this share of changes has ended.
MOST_HAVE_ENDED = 0.95
# Time from a stop to a server that is known to be ready, as a multiple of the time in which most stops end: the job is
# read by then, and a sweep follows.
STOP_LEAD_FACTOR = 1.6
# Share of the servers with a slot soon that are stopped together.
STOP_GROUP_SHARE = 0.85
# The job of a stop is read at the age by which this share of stops has ended.
MOST_HAVE_STOPPED = 0.98
# On a cloud that shows changes, a change that is not seen by then has ended already, or never began.
SHOWN_WITHIN_S = 60.0
# A server that is being verified, or waits stopped for a slot, is read at least this often (share of polling.max).
FOLLOWER_MAX_AGE_SHARE = 0.5
# Number of latest durations from which the next ones are forecast.
DURATION_SAMPLES_MAX = 256
# A kind of changes with this many ends has a forecast of its own; the others share the forecast of all changes.
GROUP_SAMPLES_MIN = 8
# A change below this share of the shortest known duration need not be read.
EARLIEST_END_SHARE = 0.8
# The number of changes that end soon is computed again after this share of the duration of a stop, at most a second.
SLOT_FORECAST_TTL_SHARE = 0.03
SLOT_FORECAST_TTL_MAX_S = 1.0
# Number of ages that are sampled of one kind of changes for a forecast of ends.
AGES_LOOKED_AT = 64
# Number of running changes, of all kinds, above which only every n-th is sampled: turns must not cost O(changes).
CHANGES_LOOKED_AT = 1_000
# Share of the read budget that polling may use; the rest is for reads that cannot wait.
POLL_BUDGET_SHARE = 0.6
# Intervals are stretched by up to this share, so that the runs of one operator do not poll in step.
JITTER = 0.2
# Bounds of the wait until the engine asks again for a permit.
PERMIT_AGAIN_MIN_S = 0.005
PERMIT_AGAIN_MAX_S = 5.0
# The engine takes a turn at least this often, so that a changed clock or a missed wake-up cannot stall a run.
TURN_AT_LEAST_S = 5.0

# --- the store -----------------------------------------------------------------------------------------------

# Interval at which a holder renews its lease: three renewals may fail before the term is over.
LEASE_BEAT_S = LEASE_TERM_S / 4
# Interval at which another process reads the lease, so that it notices a live holder soon after a renewal.
LEASE_LOOK_EVERY_S = 1.0
# A suspended process holds a database that stays locked for this long: a commit of fleetos takes milliseconds, and the
# freeze of 100,000 targets some 7 s. Together with one LEASE_BEAT_S it is below the lease term, so that a writer that
# waits still has its lease.
DATABASE_BUSY_S = 15.0
# PostgreSQL ends a session that is idle in a transaction for this long. It is below the lease term, so that a process
# that was suspended inside a commit cannot finish it after another process took over its lease.
IDLE_TRANSACTION_S = 10.0
# Time-out of connecting to PostgreSQL and of unacknowledged data; also below the lease term.
DATABASE_NETWORK_S = 10.0
# Connections for reading beside the one for writing: the engine's poll of requests and one or two views.
DATABASE_READERS = 4
# Ids in one IN list: well under SQLite's 32,766 and PostgreSQL's 65,535 bound values.
IDS_PER_STATEMENT = 500
# Rows that are written or read at a time for a whole run: some megabytes.
ROWS_AT_ONCE = 500
# Records in one page: some megabytes at most.
RECORDS_PER_PAGE = 10_000
# Runs in one list: a screen shows far fewer, and each costs a decoded body.
RUNS_LISTED = 1_000
# Runs that are compared with a mistyped id, and near ones that a message names.
RUNS_COMPARED = 1_000
RUNS_SUGGESTED = 3
# Servers that one message names; it counts the others.
SERVERS_NAMED = 5
# Copies beside a damaged database that are tried, the newest first.
COPIES_LOOKED_AT = 20
# Durations that are remembered for one kind of changes: enough for their spread; older ones are out of date.
CHANGES_REMEMBERED = 64
# Kinds of changes (image, flavor, availability zone) that are remembered for a project: some ten images on some twenty
# flavors. With 64 durations each that is a row of some 200 KB.
CHANGE_KEYS_REMEMBERED = 256
# Length of the name of a kind of changes: three names or ids of the cloud.
CHANGE_KEY_LETTERS = 800
# Durations of stops that are remembered; they hardly differ between servers.
STOPS_REMEMBERED = 64
# Problems that one check of the database lists.
PROBLEMS_LISTED = 50

# --- plans and the files they name ---------------------------------------------------------------------------

# The parser takes some 2 s for 1 MB of YAML; larger fleets belong into a CSV file.
PLAN_MAX_BYTES = 4 * 1024 * 1024
# Values in a plan, aliases counted as often as they are used: some 40,000 servers, and no alias bomb.
PLAN_MAX_VALUES = 250_000
# The format itself is five levels deep.
PLAN_MAX_DEPTH = 16
PLAN_MAX_ALIASES = 1_000
# The CSV files of a plan together: 100,000 rows of some 300 letters.
ROWS_MAX_BYTES = 32 * 1024 * 1024
# A line of a CSV file: all its labels at their longest, every letter a quote.
ROWS_LINE_LETTERS = 32 * 1024
# Empty rows of a CSV file: spreadsheets leave them behind, and have 1,048,576 rows in all.
ROWS_EMPTY_MAX = 1_100_000
# Servers listed in a plan and its files before duplicates are merged: nobody lists each server three times.
PLAN_MAX_LISTED = 200_000
# Servers in one plan: engine and store are built and measured for this many.
PLAN_MAX_SERVERS = 100_000
# Entries with `select`: each is compared with every server of the project.
SELECTORS_MAX = 100
# Values of one key of `select`.
SELECT_VALUES_MAX = 256
# The cloud has no longer names (API page ecs_02_0104: 64, images 128).
TEXT_MAX_LETTERS = 255
LABELS_MAX = 32
LABEL_NAME_MAX_LETTERS = 63
# A frozen plan: 100,000 servers of some 400 bytes each.
FROZEN_PLAN_MAX_BYTES = 64 * 1024 * 1024
# User data before base64 (API page ecs_02_0202).
USER_DATA_MAX_BYTES = 32 * 1024
# A file that holds one password: anything longer is another file by mistake.
SECRET_FILE_MAX_BYTES = 4096
# A target in flight costs a task and a part of every sweep: more of them would not be faster.
CONCURRENCY_MAX = 10_000
CONNECTIONS_MAX = 256
# The vendor asks to call the support desk after the second failed change; ten is a mistake or a test.
ATTEMPTS_MAX = 10
# No step of a rollout takes a week.
DURATION_MAX_S = 7 * 24 * 3600.0
# Requests in one `api.rate`: beyond any cloud's limit.
RATE_MAX_REQUESTS = 1_000_000
# The burst of a stated rate: enough to keep the connections busy, small against any stated window.
RATE_BURST = 10
# Candidates and near names that one message lists.
CANDIDATES_LISTED = 10
# Unknown names that are compared with all names of the project: each costs some 10 ms for 10,000 names.
NAMES_COMPARED = 20
# Problems that are listed of one CSV file; the others are counted. A wrong file has a problem in every row.
ROW_PROBLEMS_LISTED = 1_000
# Problems that are listed of a plan with its files; the others are counted.
INPUT_PROBLEMS_LISTED = 2_000

# --- the cloud's API -----------------------------------------------------------------------------------------

# A host that accepts no connection (name, TCP and TLS) by then counts as not reached.
CONNECT_TIMEOUT_S = 10.0
# Time-out of a whole read: a page of 1000 servers takes the cloud several seconds.
READ_TIMEOUT_S = 30.0
# Time-out of a whole write: gateways give up on their backend after about a minute, and their answer is worth having.
WRITE_TIMEOUT_S = 75.0
# A write that could not leave by then is not sent: the facts behind its decision may have changed.
WRITE_DEPARTS_WITHIN_S = INTENT_MAX_AGE_S
# A page of 1000 servers with all their fields is about 5 MB; no answer of the cloud may fill the memory.
ANSWER_BYTES = 32 * 2**20
# An answer to a write holds a job id, an answer to a login a catalog: both are far below this.
SMALL_ANSWER_BYTES = 2 * 2**20
# Tokens travel in one header and take several kilobytes (the library's own limit is 8 KiB).
HEADER_BYTES = 128 * 2**10
# Regions that a message lists; a catalog may have thousands.
REGIONS_LISTED = 20
# Error bodies nest (JSON in a message in JSON); deeper or longer ones are not decoded.
ERROR_BODY_BYTES = 256 * 2**10
ERROR_NESTING = 8
ERROR_FIELDS = 200
# Characters that are kept of a cloud's message.
MESSAGE_CHARS = 500
# Passwords that are removed from later texts of the cloud, such as why a job failed: a plan has one or two, and each
# costs a search in every such text.
PASSWORDS_HIDDEN = 16
# Ids and names are shorter than this everywhere in the API; a longer text is not an id.
ID_CHARS = 255
# Length of an address of a server, and addresses that are read of one server: it has some ten network cards.
ADDRESS_CHARS = 64
ADDRESSES_SEEN = 128
# Servers on one list page, and servers in one stop or start call (ECS API reference).
LIST_PAGE = 1000
POWER_CALL_SERVERS = 1000
# More pages than this means that the cloud ignores the page number.
LIST_PAGES = 500
# Ids in one query of the list (ECS API reference: at most 100 are advised).
LIST_IDS = 100
# Volumes on one page of EVS (its API reference: at most 1000). If DISK_PAGES_WHOLE pages do not hold all volumes of a
# project, only those that may be too small for an image are read: a plan for 10,000 servers takes one page, not ten.
DISK_PAGE = 1000
DISK_PAGES_WHOLE = 3
DISK_PAGES = 200
# Images on one page (IMS, "querying images": 500 by default), and pages: clouds have some hundred images.
IMAGE_PAGE = 500
IMAGE_PAGES = 4
# The largest page of EPS; an account has some dozens of projects. Keys are read one by one; plans name one or two.
ENTERPRISE_PAGE, ENTERPRISE_PAGES, KEYS_ASKED = 1000, 5, 50
# Tries of a read. The wait between tries begins with READ_WAIT_S and doubles up to READ_WAIT_MAX_S.
READ_TRIES = 4
READ_WAIT_S = 0.5
READ_WAIT_MAX_S = 8.0
# Rates while nothing better is known: no ECS figures are published; users report that 200 requests in 5 minutes are
# refused and that these rates are accepted.
AUTO_READS_PER_S = 5.0
AUTO_WRITES_PER_S = 1.0
AUTO_BURST = 10.0
# After a 429 nothing is sent for CLOSURE_S, doubling up to CLOSURE_MAX_S (as the terraform providers of both clouds).
CLOSURE_S = 60.0
CLOSURE_MAX_S = 960.0
# The simulated cloud on this machine recovers from a burst at once; a minute would only make a rehearsal slow.
CLOSURE_LOOPBACK_S = 1.0
# After a 429 without a stated limit the rate becomes this share of the rate that was really sent before: far enough
# below the limit for some minutes without refusals, near enough to lose little.
PACE_SHARE = 0.8
# If almost nothing was sent before, others use the limit too, or it is for a long window. One refusal never lowers the
# rate below this share of it, or an idle process would be left with nothing.
PACE_SHARE_MIN = 0.5
# Windows before the refusal in which requests are counted, the shortest first. The highest rate counts: the first
# window shows a burst after a rest, the second a slow rate.
PACE_WINDOWS_S = (1.0, 5.0)
# Requests that are counted: one process cannot send more in five seconds.
PACE_SENT_COUNTED = 4096
# Time in which a process that sends at its full rate regains the lost share. It is ten closures: a process that probes
# for an unstated limit is refused once in it, and waits for a tenth of its time. A rehearsal is short, so that it takes
# less on a simulated cloud.
PACE_RECOVERY_S = 600.0
PACE_RECOVERY_LOOPBACK_S = 60.0
# Burst of a learned rate, in seconds: most limits are for windows of a second or more.
PACE_BURST_S = 0.1
# Learned limits are forgotten after this: clouds raise limits, and other users of the limit end. A new simulated cloud
# is made in no time.
LIMIT_FORGOTTEN_S = 7 * 24 * 3600.0
LIMIT_FORGOTTEN_LOOPBACK_S = 600.0
# A priority of requests that was passed over this often by more urgent ones is next: it gets a fourth of the rate.
PASSED_OVER_MAX = 3
# The turn of a write that got no permit is kept for this much longer than its wait: the engine asks after a commit.
WRITE_TURN_GRACE_S = 1.0
# The longest wait for a Retry-After or a window in the text of a 429.
CLOSURE_STATED_MAX_S = 3600.0
# A token is renewed this long before its end, or after three quarters of a short life.
TOKEN_MARGIN_S = 600.0
TOKEN_MARGIN_PART = 0.25
# The wait after a failed renewal while the old token is still valid.
TOKEN_RETRY_S = 5.0
# The clock of the action log may be this far behind the clock of answers, or behind ours if answers have no date.
TRACE_SKEW_S = 10.0
# Traces of one kind that an event lists for a server: a single one holds the server.
TRACES_LISTED = 5
# A program that prints a password, or a keyring, may first ask a person for a passphrase or a touch.
PASSWORD_COMMAND_S = 60.0
# From this difference between the clocks on, it counts as the cause of a refused signature: 15 minutes are allowed (API
# Request Signing Guide), and the clock of an answer's Date is not quite the one that judges.
CLOCK_DIFFERENCE_S = 300.0
# Time-out of one check of `fleetos doctor`: a read with its repetitions takes less. A database file is read whole.
EXAMINED_WITHIN_S = 20.0
DATABASE_EXAMINED_WITHIN_S = 60.0
# A file with credentials is a few kilobytes.
CREDENTIALS_FILE_BYTES = 2**20

# --- the simulated cloud -------------------------------------------------------------------------------------

# A world is in memory and is shown in lists: with more servers it no longer answers within milliseconds.
SIM_SERVERS_MAX = 20_000
# Each request is compared with every rule.
SIM_RULES_MAX = 200
# Every request of the API is far below this; a larger one is refused before it is parsed.
SIM_BODY_BYTES_MAX = 256 * 1024
# A scenario with all its rules stays far below this.
SIM_SCENARIO_BYTES_MAX = 1024 * 1024
# The deepest value of a scenario is five levels down; the YAML parser grows slow with depth.
SIM_SCENARIO_DEPTH_MAX = 16
# A replay takes 0.1 ms a write: with this many a start takes much less than SIM_READY_S. A world with more is full.
SIM_WRITES_MAX = 100_000
# The process behind `cloud: sim` ends after this long without a request; its world stays.
SIM_IDLE_EXIT_S = 600.0
# A start loads Python, the libraries and the journal: a third of a second, on a loaded machine many times that.
SIM_READY_S = 30.0
# Time between the request to end a process and its kill.
SIM_END_S = 5.0
