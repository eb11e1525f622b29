"""Every bound and time-out, with its reason. Times in seconds unless the name says otherwise."""

# --- the safety protocol (docs/safety-protocol.md) -----------------------------------------------------------

# An intent older than this is not sent: the process was frozen in between, and others may have acted since.
INTENT_MAX_AGE_S = 5.0
# A list page or read that is older than this no longer proves that a server is stopped.
FRESH_READ_MAX_AGE_S = 60.0
# Evidence for an unknown outcome is gathered by reads at most this far apart; a longer gap starts the settle anew.
EVIDENCE_MAX_GAP_S = 60.0
# After the change time-out and so many settle times without a series of looks that lasts one, a human decides.
SELDOM_SEEN_SETTLES = 4
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
# After a failed read the same server is read again after this, doubling up to the plan's polling.max.
READ_AGAIN_S = 1.0
# After this many reads in a row that said nothing of a server, while the cloud answers others, a human decides: an
# hour or more at the usual polling.max.
UNREAD_MAX = 60
# A write that did not leave is tried again after this; longer in sum than it takes to call the cloud unreachable.
NOT_SENT_WAIT_S = 15.0
# Needs that are due this soon are served together with those due now, so that reads go out in one go (share of min).
POLL_GROUP_SHARE = 0.25
# A sweep is worth its calls when for each so many of the changes that it looks at are expected to have ended since the
# last one.
ENDS_PER_SWEEP_CALL = 2.8
# Where fewer change at once: after the first end is this likely, a sweep follows within this share of a typical change.
FIRST_END_LIKELY = 0.25
SWEEP_TYPICAL_SHARE = 0.03
# Where nothing is known of how long changes take, the next look comes after this share of their age.
UNKNOWN_SWEEP_AGE_SHARE = 0.1
# A job whose server looks as if the change were over, though it is not, is asked again after this share of its age.
ASK_AGAIN_SHARE = 0.25
# What has not ended by when so many others have is asked by its job.
MOST_HAVE_ENDED = 0.95
# From a stop to a server that is known to be ready it takes so much of the time by which most stops have ended: its job
# is asked by then, and a sweep follows.
STOP_LEAD_FACTOR = 1.6
# Of the servers that will soon have a slot, so large a share is stopped together.
STOP_GROUP_SHARE = 0.85
# A stop is asked for its end when so many others have ended.
MOST_HAVE_STOPPED = 0.98
# On a cloud that shows changes, one that is not seen by then has ended already, or never began.
SHOWN_WITHIN_S = 60.0
# Whoever is only to be verified, or waits stopped for a slot, is seen at least this often (share of polling.max).
FOLLOWER_MAX_AGE_SHARE = 0.5
# So many durations of the latest changes say how long the next ones take.
DURATION_SAMPLES_MAX = 256
# A kind of changes of which so many have ended is foreseen by itself, any other by what all take.
GROUP_SAMPLES_MIN = 8
# A change that has lasted for less than this share of the shortest known need not be looked at.
EARLIEST_END_SHARE = 0.8
# How many changes will soon end is counted anew after this share of what a stop takes, a second at most.
SLOT_FORECAST_TTL_SHARE = 0.03
SLOT_FORECAST_TTL_MAX_S = 1.0
# Of more changes of one kind so many ages say how many will end, and when.
AGES_LOOKED_AT = 64
# Of about so many more changes that run, of all kinds, only every n-th is looked at: turns must not cost O(changes).
CHANGES_LOOKED_AT = 1_000
# Share of the read budget that polling may plan with; the rest is for looks that cannot wait.
POLL_BUDGET_SHARE = 0.6
# Intervals are stretched by up to this share, so that fleets of one operator do not beat in step.
JITTER = 0.2
# How soon the ring asks again for a permit, at least and at most.
PERMIT_AGAIN_MIN_S = 0.005
PERMIT_AGAIN_MAX_S = 5.0
# The ring turns at least this often, so that a clock that was set or a missed wake-up cannot stall a run.
TURN_AT_LEAST_S = 5.0

# --- the store -----------------------------------------------------------------------------------------------

# A holder renews its lease this often: three renewals may fail before the term is over.
LEASE_BEAT_S = LEASE_TERM_S / 4
# Who watches a foreign lease looks this often, so that a live holder is noticed soon after it renews.
LEASE_LOOK_EVERY_S = 1.0
# A database that stays locked this long is held by a stopped process: a commit of ours takes milliseconds, and the
# freeze of 100,000 targets some 7 s. With one beat it stays below the lease term, so that a waiting writer still knows
# its own lease.
DATABASE_BUSY_S = 15.0
# A PostgreSQL session that sits in a transaction this long is ended by the server; below the lease term, so that a
# process that was frozen inside a commit cannot finish it after its lease was taken over.
IDLE_TRANSACTION_S = 10.0
# A connection to PostgreSQL is made, and unacknowledged data is given up, within this; below the lease term too.
DATABASE_NETWORK_S = 10.0
# Readers beside the one writer: the engine's request poll and one or two views.
DATABASE_READERS = 4
# Ids in one IN list: well under SQLite's 32,766 and PostgreSQL's 65,535 bound values.
IDS_PER_STATEMENT = 500
# Rows made and written, or read and decoded, at a time where a run is written or read whole: some megabytes of them.
ROWS_AT_ONCE = 500
# Records handed out in one page: some megabytes at most.
RECORDS_PER_PAGE = 10_000
# Runs in one list: a screenful for a human is far less, and each costs a decoded body.
RUNS_LISTED = 1_000
# Runs that a mistyped id is compared with, and how many near ones are named.
RUNS_COMPARED = 1_000
RUNS_SUGGESTED = 3
# Servers named in one message; the others are counted.
SERVERS_NAMED = 5
# Copies beside a damaged database that are tried, the newest first, before none is named.
COPIES_LOOKED_AT = 20
# Durations of changes of one kind that are remembered: enough for their spread, and the oldest are of another time.
CHANGES_REMEMBERED = 64
# Kinds of changes (image, flavor, availability zone) that are remembered of a project: some ten images on some twenty
# flavors, and with 64 durations each a row of some 200 KB.
CHANGE_KEYS_REMEMBERED = 256
# The name of a kind of changes: three names or ids of the cloud.
CHANGE_KEY_LETTERS = 800
# Durations of stops that are remembered; they hardly differ by server.
STOPS_REMEMBERED = 64
# Problems that one check of the database lists.
PROBLEMS_LISTED = 50

# --- plans and the files they name ---------------------------------------------------------------------------

# A plan is read by a parser that takes some 2 s for 1 MB of YAML; larger fleets belong into a CSV file.
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
# Empty rows of a CSV file, which spreadsheets leave behind: they have 1,048,576 rows in all.
ROWS_EMPTY_MAX = 1_100_000
# Servers listed in a plan and its files before those that are listed again are merged: nobody lists each three times.
PLAN_MAX_LISTED = 200_000
# Servers in one plan: what the engine and the store are built and measured for.
PLAN_MAX_SERVERS = 100_000
# Entries with `select`: each is held against every server of the project.
SELECTORS_MAX = 100
# Values of one key of `select`.
SELECT_VALUES_MAX = 256
# Longer names than the cloud knows (API page ecs_02_0104: 64, images 128) are not names.
TEXT_MAX_LETTERS = 255
LABELS_MAX = 32
LABEL_NAME_MAX_LETTERS = 63
# A frozen plan: 100,000 servers of some 400 bytes each.
FROZEN_PLAN_MAX_BYTES = 64 * 1024 * 1024
# User data before base64 (API page ecs_02_0202).
USER_DATA_MAX_BYTES = 32 * 1024
# A file that holds one password: anything longer is another file by mistake.
SECRET_FILE_MAX_BYTES = 4096
# A target is a task and a place in every sweep: more in flight would not be faster.
CONCURRENCY_MAX = 10_000
CONNECTIONS_MAX = 256
# The vendor asks to call the support desk after the second failed change; ten is a mistake or a test.
ATTEMPTS_MAX = 10
# No step of a rollout takes a week.
DURATION_MAX_S = 7 * 24 * 3600.0
# Requests in one `api.rate`, beyond any cloud's limit.
RATE_MAX_REQUESTS = 1_000_000
# The burst of a stated rate: enough to keep the connections busy, small against any stated window.
RATE_BURST = 10
# Candidates and near names that one message lists.
CANDIDATES_LISTED = 10
# Unknown names that are compared with all names of the project: each comparison costs some 10 ms at 10,000.
NAMES_COMPARED = 20
# Problems listed of one CSV file; the others are counted. A file of another kind has one in every row.
ROW_PROBLEMS_LISTED = 1_000
# Problems listed of a plan with its files; the others are counted.
INPUT_PROBLEMS_LISTED = 2_000

# --- the cloud's API -----------------------------------------------------------------------------------------

# A host that does not take a connection (name, TCP and TLS) by then is counted as not reached.
CONNECT_TIMEOUT_S = 10.0
# A whole read; a page of 1000 servers takes the cloud several seconds.
READ_TIMEOUT_S = 30.0
# A whole write: gateways give up on their backend after about a minute, and their answer is worth having.
WRITE_TIMEOUT_S = 75.0
# A write that could not leave by then is not sent: what it was decided by may be true no longer.
WRITE_DEPARTS_WITHIN_S = INTENT_MAX_AGE_S
# A page of 1000 servers with all their fields is about 5 MB; nothing that the cloud sends may fill the memory.
ANSWER_BYTES = 32 * 2**20
# An answer to a write holds a job id, a token body a catalog: both far below this.
SMALL_ANSWER_BYTES = 2 * 2**20
# Tokens travel in one header and take several kilobytes (the library's own limit is 8 KiB).
HEADER_BYTES = 128 * 2**10
# Regions that a message lists, of a catalog that may have thousands.
REGIONS_LISTED = 20
# Error bodies nest (JSON in a message in JSON); deeper or longer ones are not looked at.
ERROR_BODY_BYTES = 256 * 2**10
ERROR_NESTING = 8
ERROR_FIELDS = 200
# What is kept of a cloud's message, in characters.
MESSAGE_CHARS = 500
# Passwords that are kept out of what the cloud says in later answers, such as why a job failed: a plan has one or two,
# and each is looked for in every such text.
PASSWORDS_HIDDEN = 16
# Ids and names are shorter than this everywhere in the API; a longer one is no id.
ID_CHARS = 255
# An address of a server, and how many are read of one: it has some ten network cards.
ADDRESS_CHARS = 64
ADDRESSES_SEEN = 128
# Servers on one list page, and servers in one stop or start call (ECS API reference).
LIST_PAGE = 1000
POWER_CALL_SERVERS = 1000
# More pages than this means that the cloud ignores the page number.
LIST_PAGES = 500
# Ids in one query of the list (ECS API reference: at most 100 are advised).
LIST_IDS = 100
# Volumes on one page of EVS (its API reference: at most 1000). Of a project with more of them than the first few pages
# hold, only those are read that may be too small for an image: a plan for 10,000 servers takes one page, not ten.
DISK_PAGE = 1000
DISK_PAGES_WHOLE = 3
DISK_PAGES = 200
# Images on one page (IMS, "querying images": 500 unless said otherwise), and pages: clouds have some hundred images.
IMAGE_PAGE = 500
IMAGE_PAGES = 4
# Of EPS the largest page; an account has some dozens of projects. Keys are asked for one by one; plans name one or two.
ENTERPRISE_PAGE, ENTERPRISE_PAGES, KEYS_ASKED = 1000, 5, 50
# How often a read is tried; between tries it waits from the first of these times, doubling, up to the second.
READ_TRIES = 4
READ_WAIT_S = 0.5
READ_WAIT_MAX_S = 8.0
# The pace while nothing better is known: no ECS figures are published; users report 200 requests in 5 minutes to be
# refused and these rates to be accepted.
AUTO_READS_PER_S = 5.0
AUTO_WRITES_PER_S = 1.0
AUTO_BURST = 10.0
# After a 429 nothing is sent for this long, doubling up to the second time (terraform providers of both clouds).
CLOSURE_S = 60.0
CLOSURE_MAX_S = 960.0
# The simulated cloud on this machine gets over a burst at once; a minute would only make a rehearsal slow.
CLOSURE_LOOPBACK_S = 1.0
# After a 429 without a stated limit the pace is this share of what was really sent before it: far enough below the
# limit for some minutes of peace, near enough to lose little by them.
PACE_SHARE = 0.8
# Where next to nothing was sent before it, others use the limit too, or it holds for a long window: not below this
# share of the pace at once, or whoever rests would be left with nothing.
PACE_SHARE_MIN = 0.5
# What was really sent is counted over these times before the refusal, the shortest first, and the highest rate counts:
# a burst from rest is known by the first, a slow pace by the second.
PACE_WINDOWS_S = (1.0, 5.0)
# Requests that are counted: more in five seconds than one process of ours can send.
PACE_SENT_COUNTED = 4096
# At full pace the share is made good again in this time. Ten closures: whoever looks for an unstated limit is refused
# once in it, and waits for a tenth of his time. A simulated cloud forgives sooner, and a rehearsal is short.
PACE_RECOVERY_S = 600.0
PACE_RECOVERY_LOOPBACK_S = 60.0
# The burst of a learned pace, in seconds of it: most limits are seen in windows of a second or more.
PACE_BURST_S = 0.1
# What was learned is forgotten after this: limits are raised, and the others who used it up have ended. Another
# simulated cloud is made in no time.
LIMIT_FORGOTTEN_S = 7 * 24 * 3600.0
LIMIT_FORGOTTEN_LOOPBACK_S = 600.0
# A rank of requests that was passed over so often by more urgent ones goes next: it gets a fourth of the pace.
PASSED_OVER_MAX = 3
# A write that got no permit is waited for this much longer than it takes: the engine asks again after its commit.
WISH_GRACE_S = 1.0
# Nobody is kept waiting longer by a Retry-After or a window in a 429 text.
CLOSURE_TOLD_MAX_S = 3600.0
# A token is renewed this long before its end, or at three quarters of a short life.
TOKEN_MARGIN_S = 600.0
TOKEN_MARGIN_PART = 0.25
# After a renewal that failed while the old token still serves, the next one is tried this much later.
TOKEN_RETRY_S = 5.0
# The clock that dates a trace may be this far behind the one that dates answers; where those say no date, behind ours.
TRACE_SKEW_S = 10.0
# Traces of one kind that are told of a server, in an event of its run: one alone holds the server.
TRACES_TOLD = 5
# A program that prints a password, or a keyring, may first ask somebody for a passphrase or a touch.
PASSWORD_COMMAND_S = 60.0
# From this difference between the clocks on, a refused signature is put down to it: 15 minutes are allowed (API Request
# Signing Guide), and the clock of an answer's Date is not quite the one that judges.
CLOCK_DIFFERENCE_S = 300.0
# One check of `fleetos doctor`: a read with its repetitions takes less. The file of a database is read whole.
EXAMINED_WITHIN_S = 20.0
DATABASE_EXAMINED_WITHIN_S = 60.0
# A file with credentials is a few kilobytes.
CREDENTIALS_FILE_BYTES = 2**20

# --- the simulated cloud -------------------------------------------------------------------------------------

# A world is kept in memory and shown in lists: with more servers it no longer answers within milliseconds.
SIM_SERVERS_MAX = 20_000
# Each request is held against every rule.
SIM_RULES_MAX = 200
# No request of the API comes near this; a larger one is refused before it is parsed.
SIM_BODY_BYTES_MAX = 256 * 1024
# A scenario with all its rules stays far below this.
SIM_SCENARIO_BYTES_MAX = 1024 * 1024
# The deepest value of a scenario is five levels down; the YAML parser grows slow with depth.
SIM_SCENARIO_DEPTH_MAX = 16
# A replay takes 0.1 ms a write: with this many a start stays well within SIM_READY_S. After that a world is full.
SIM_WRITES_MAX = 100_000
# The process behind `cloud: sim` ends after this long without a request; its world stays.
SIM_IDLE_EXIT_S = 600.0
# A start loads Python, the libraries and the journal: a third of a second, on a loaded machine many times that.
SIM_READY_S = 30.0
# A process that was told to end has this long before it is killed.
SIM_END_S = 5.0
