"""What a secret looks like in evidence: how each kind is written by what writes it.

Sources: drbd.conf(5) and drbdsetup-show(8) (shared-secret), iscsid.conf (node.session.auth.*),
targetcli's auth group, a CIB's nvpairs (fence agents' passwd), crypt(5), RFC 7468 (keys), RFC 3986
(user information of an URL), RFC 7235, and the published prefixes of GitHub's, GitLab's, AWS's and
Slack's tokens. A file that is a key as a whole is known by its name.

Guests wrote what these are matched with, lines of 10 MB too: each is linear in the line's length,
by bounded repetitions and by beginning only where a word does.
"""

from __future__ import annotations

import re

# What a line in lower case has to contain to be looked at closer, as bytes: few lines do. All are
# searched, and a search that ignores case takes six times as long as one of the lowered line.
SUSPECT = re.compile(
    rb"passw|passphrase|pwd|secret|private.?key|bearer|authorization|token|api.?key|"
    rb"access.?key|credential|://[^/\s]{0,300}@|gh[pousr]_|github_pat_|glpat-|akia|"
    rb"xox[abprs]-|eyj|\$(?:1|5|6|7|y|gy|2[abxy])\$"
)
_VALUE = r"""(?P<secret>[^\s"',;&<>]+)"""
_QUOTE = r"""["']?"""
_IS = rf"{_QUOTE}\s{{0,20}}[=:]\s{{0,20}}{_QUOTE}"
_BEGIN = r"(?<![\w./-])"  # of a word that is no part of a path: /etc/passwd is no password
# The first that fits a place decides; a kind's name is what the manifest counts.
PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "private-key",
        re.compile(
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----"
            r"(?P<secret>(?:(?!-----)[\s\S]){1,20000})"
        ),
    ),
    (
        "drbd-secret",
        re.compile(
            r'shared-secret\s{1,40}(?:"(?P<secret>[^"]{1,256})"|(?P<bare>[^\s";]{1,256})\s{0,9};)'
        ),
    ),
    ("chap", re.compile(rf"(?i)\.auth\.password(?:_in)?{_IS}{_VALUE}")),
    (
        "url",
        re.compile(
            r"""\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@"']{0,200}:(?P<secret>[^\s/@"']{1,500})@"""
        ),
    ),
    (
        "authorization",
        re.compile(rf"(?i){_BEGIN}authorization{_IS}(?:bearer|basic|token)\s{{1,20}}{_VALUE}"),
    ),
    ("authorization", re.compile(r"\b[Bb]earer\s{1,20}(?P<secret>[A-Za-z0-9._~+/=-]{16,})")),
    (
        "token",
        re.compile(
            r"(?<![\w-])(?P<secret>gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|"
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
            r"""(?i)\bname="[^"]{0,80}(?:passw(?:or)?d|secret)"\s{1,20}"""
            r"""value="(?P<secret>[^"]{1,500})\""""
        ),
    ),
    (
        "password",
        re.compile(rf"(?i){_BEGIN}[\w.-]{{0,60}}?(?:passw(?:or)?d|passphrase|pwd){_IS}{_VALUE}"),
    ),
    (
        "environment",
        re.compile(
            rf"{_BEGIN}[A-Z0-9_]{{0,60}}?(?:SECRET|TOKEN|API_?KEY|ACCESS_KEY|PRIVATE_KEY|"
            rf"CREDENTIALS?)[A-Z0-9_]{{0,60}}={_QUOTE}{_VALUE}"
        ),
    ),
    (
        "option",
        re.compile(
            r"(?<!\S)--?(?:password|passwd|passphrase|token|secret|api-key)"
            rf"(?:=|\s{{1,20}}){_QUOTE}(?!-){_VALUE}"
        ),
    ),
)
# A string under such a name in JSON is a secret, whatever it looks like.
FIELD = re.compile(
    r"(?i)^(?:.{0,200}[_.-])?(?:passw(?:or)?d|passphrase|secret|shared[-_]secret|"
    r"private[-_]?key|api[-_]?key|(?:auth|access)[-_]?token)$"
)
# What stands for no secret although it stands at the place of one: 3000 is Corosync's token.
NO_SECRET = re.compile(r"(?i)^(?:\d{1,6}|true|false|none|null|\(null\)|yes|no|\*+|-+|redacted-.*)$")
# A key that is printed line by line.
KEY_BEGINS = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----\s*$")
KEY_LINE = re.compile(r"^\s*(?P<secret>[A-Za-z0-9+/]{8,}={0,2})\s*$")
# Files that are a key or hold nothing else.
KEY_FILE = re.compile(
    r"(?i)(?:^|/)(?:[^/]*\.(?:key|pem|p12)|authkey|ssh_key|ssh_host_[a-z0-9]+_key|"
    r"id_(?:rsa|dsa|ecdsa|ed25519)|secrets\.json|shadow)$"
)
# Files in which nothing can be found, so that they may hold anything.
OPAQUE_FILE = re.compile(
    r"(?i)\.(?:gz|xz|zst|bz2|zip|7z|tar|tgz|txz|pcap|pcapng|qcow2|img|raw|core|db|sqlite3?)$"
)
