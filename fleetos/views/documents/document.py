"""Document for programs. All documents have `"v": 1`.

Every value is plain JSON, every time is RFC 3339 in UTC. The fields are documented in docs/reference/outputs.md; to
change one is to change the public contract.
"""

from typing import Any

VERSION = 1

Document = dict[str, Any]
