"""What a secret looks like in evidence: how each kind is written by what writes it.

Sources: drbd.conf(5) and drbdsetup-show(8) (shared-secret), iscsid.conf (node.session.auth.*),
targetcli's auth group, a CIB's nvpairs (fence agents' passwd), crypt(5), RFC 7468 (keys), RFC 3986
(user information of an URL), RFC 7235, and the published prefixes of GitHub's, GitLab's, AWS's and
Slack's tokens. A file that is a key as a whole is known by its name.
"""

from __future__ import annotations

import re

# What a line has to contain to be looked at closer, as bytes: few lines do.
SUSPECT = re.compile(
    rb"(?i)passw|passphrase|pwd|secret|private.?key|bearer|authorization|token|api.?key|"
    rb"access.?key|credential|://[^/\s]*@|gh[pousr]_|github_pat_|glpat-|AKIA|xox[abprs]-|eyJ|"
    rb"\$(?:1|5|6|7|y|gy|2[abxy])\$"
)
_VALUE = r"""(?P<secret>[^\s"',;&<>]+)"""
_QUOTED = r"""["']?"""
_NAME = r"(?<![\w./-])[\w.-]*?"  # not the end of a path: /etc/passwd is no password
# The first that fits a place decides; a kind's name is what the manifest counts.
PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "private-key",
        re.compile(
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----(?P<secret>[\s\S]{1,20000}?)"
            r"(?:-----END |\Z)"
        ),
    ),
    (
        "drbd-secret",
        re.compile(r"""shared-secret\s+(?:"(?P<secret>[^"]+)"|(?P<bare>[^\s";]+)\s*;)"""),
    ),
    ("chap", re.compile(rf"(?i)\.auth\.password(?:_in)?\s*=\s*{_QUOTED}{_VALUE}")),
    ("url", re.compile(r"""\b[a-z][a-z0-9+.-]*://[^\s/:@"']*:(?P<secret>[^\s/@"']+)@""")),
    (
        "authorization",
        re.compile(
            rf"(?i)\bauthorization{_QUOTED}\s*[:=]\s*{_QUOTED}(?:bearer|basic|token)\s+{_VALUE}"
        ),
    ),
    ("authorization", re.compile(r"\b[Bb]earer\s+(?P<secret>[A-Za-z0-9._~+/=-]{16,})")),
    (
        "token",
        re.compile(
            r"\b(?P<secret>gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|"
            r"glpat-[\w-]{16,}|AKIA[0-9A-Z]{16}|xox[abprs]-[A-Za-z0-9-]{10,}|"
            r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,})"
        ),
    ),
    (
        "password-hash",
        re.compile(r"(?P<secret>\$(?:1|5|6|7|y|gy|2[abxy])\$[./A-Za-z0-9$=,]{8,})"),
    ),
    (
        "password",
        re.compile(
            r"""(?i)\bname="[^"]{0,80}(?:passw(?:or)?d|secret)"\s+value="(?P<secret>[^"]+)\""""
        ),
    ),
    (
        "password",
        re.compile(
            rf"(?i){_NAME}(?:passw(?:or)?d|passphrase|pwd){_QUOTED}\s*[=:]\s*{_QUOTED}{_VALUE}"
        ),
    ),
    (
        "environment",
        re.compile(
            r"(?<![\w./-])[A-Z][A-Z0-9_]*?(?:SECRET|TOKEN|API_?KEY|ACCESS_KEY|PRIVATE_KEY|"
            rf"CREDENTIALS?)[A-Z0-9_]*={_QUOTED}{_VALUE}"
        ),
    ),
    (
        "option",
        re.compile(
            r"(?<!\S)--?(?:password|passwd|passphrase|token|secret|api-key)"
            rf"(?:=|\s+){_QUOTED}(?!-){_VALUE}"
        ),
    ),
)
# A string under such a name in JSON is a secret, whatever it looks like.
FIELD = re.compile(
    r"(?i)^(?:.*[_.-])?(?:passw(?:or)?d|passphrase|secret|shared[-_]secret|private[-_]?key|"
    r"api[-_]?key|(?:auth|access)[-_]?token)$"
)
# What stands for no secret although it stands at the place of one: 3000 is Corosync's token.
NO_SECRET = re.compile(r"(?i)^(?:\d{1,6}|true|false|none|null|\(null\)|yes|no|\*+|-+)$")
KEY_BEGINS = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----\s*$")
KEY_LINE = re.compile(r"^\s*(?P<secret>[A-Za-z0-9+/]{8,}={0,2})\s*$")
# Files that are a key or hold nothing else.
KEY_FILE = re.compile(
    r"(?i)(?:^|/)(?:[^/]*\.(?:key|pem|p12)|authkey|ssh_key|ssh_host_[a-z0-9]+_key|"
    r"id_(?:rsa|dsa|ecdsa|ed25519)|secrets\.json|shadow)$"
)
