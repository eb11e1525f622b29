"""Findings of preflight: each has a code, a subject, and a hint where the operator can do something."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """Severity of a finding. A run leaves `refused` servers alone and changes the others."""

    NOTE = "note"
    WARNING = "warning"
    REFUSED = "refused"


class Check(StrEnum):
    """Code of a check. The values are public: scripts tell findings apart by them."""

    # A server.
    UNREADABLE = "unreadable"
    NO_SYSTEM_DISK = "no-system-disk"
    LOCKED = "locked"
    WRONG_STATE = "wrong-state"
    PASSING_STATE = "passing-state"
    ERROR_STATE = "error-state"
    HOST_DOWN = "host-down"
    BARE_METAL = "bare-metal"
    MANAGED = "managed"
    PROTECTED = "protected"
    FROZEN = "frozen"
    SPOT = "spot"
    YEARLY_MONTHLY = "yearly-monthly"
    MARKETPLACE = "marketplace"
    # A server and its image.
    MIN_DISK = "min-disk"
    DISK_GROWS = "disk-grows"
    DISK_STATUS = "disk-status"
    DISK_ENCRYPTION = "disk-encryption"
    ENCRYPTION_KEY = "encryption-key"
    MEMORY = "memory"
    ARCHITECTURE = "architecture"
    FIRMWARE = "firmware"
    PLATFORM = "platform"
    HARDWARE = "hardware"
    OS_TYPE = "os-type"
    IMAGE_UNCLEAR = "image-unclear"
    # The change that a plan describes.
    API = "api"
    LOGIN = "login"
    USER_DATA = "user-data"
    KEY_PAIR_OWNER = "key-pair-owner"
    IMAGE_ENCRYPTION = "image-encryption"
    NEWER_IMAGE = "newer-image"
    # The plan and the project.
    DONE = "done"
    IDLE_EXCLUSION = "idle-exclusion"
    LOOK_ALIKE = "look-alike"
    STOP_BY_API = "stop-by-api"
    DISK_QUOTA = "disk-quota"
    SERVER_QUOTA = "server-quota"
    CLAIMED = "claimed"
    NOT_CHECKED = "not-checked"


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of preflight."""

    level: Level
    check: Check
    subject: str
    """Name of a server or an image, a key of the plan, or the fact that could not be read."""
    text: str
    """End of the sentence that `subject` begins."""
    hint: str | None = None
    server_id: str | None = None
    """None: the finding is not about a single server."""
