"""Failures by what helps against them. One table: errno to severity.

transient     passes by itself: try again soon, a few times
recoverable   passes when somebody does something (frees space): what is there stays right, try again later
critical      the device or the way to it is broken: try again seldom, tell somebody
fatal         trying again cannot help: damaged bytes, a wrong key, wrong use
"""

from __future__ import annotations

import errno
from enum import Enum

from .backup_store import StoreDamage
from .keyring import WrongKey
from .native_wal import WalCorruption


class Severity(Enum):
    """How bad a failure is, and what helps."""

    TRANSIENT = "transient"
    RECOVERABLE = "recoverable"
    CRITICAL = "critical"
    FATAL = "fatal"

    @property
    def retry(self) -> bool:
        """Whether an immediate second attempt may succeed: not where somebody must act first."""
        return self in (Severity.TRANSIENT, Severity.CRITICAL)


SEVERITIES: dict[int, Severity] = {
    **dict.fromkeys(
        (errno.EINTR, errno.EAGAIN, errno.EBUSY, errno.ETIMEDOUT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.ESTALE,
         errno.ECONNRESET, errno.ECONNABORTED, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ETXTBSY),
        Severity.TRANSIENT,
    ),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM), Severity.RECOVERABLE),
    **dict.fromkeys((errno.EIO, errno.ENXIO, errno.ENODEV, errno.EREMOTEIO, errno.ENOENT, errno.ENOTDIR), Severity.CRITICAL),
    **dict.fromkeys((errno.EBADMSG, errno.EINVAL, errno.ENAMETOOLONG, errno.ELOOP, errno.EBADF, errno.EXDEV), Severity.FATAL),
}  # fmt: skip
"""What an error of the file system means for whoever wrote there; what is not listed is critical."""


def classify(e: BaseException) -> Severity:
    """Return the severity of an error: by its errno, or by its kind. Anything that is neither is fatal: a defect is not retried."""
    number = getattr(e, "errno", None)
    if isinstance(e, StoreDamage | WrongKey | WalCorruption) or not isinstance(number, int):
        return Severity.FATAL
    return SEVERITIES.get(number, Severity.CRITICAL)
