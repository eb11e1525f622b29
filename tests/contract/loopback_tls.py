"""A certificate that vouches for itself on loopback, made for these tests alone: the key guards nothing."""

import ssl
from pathlib import Path

CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBszCCAVmgAwIBAgIUDWx1IJJ45Yc8NQGdnamMcT+HkAcwCgYIKoZIzj0EAwIw
GDEWMBQGA1UEAwwNbG9vcGJhY2sgdGVzdDAgFw0yNjExMjMyMjIyNTdaGA8yMTI2
MTAzMDIyMjI1N1owGDEWMBQGA1UEAwwNbG9vcGJhY2sgdGVzdDBZMBMGByqGSM49
AgEGCCqGSM49AwEHA0IABCsobGKrT7K1k9uLa49P0vlx8tXNx6ItC3ZFm7yPlbgb
dEqHr9vb2LLkuR1JWWJMEUyeDWrz7E+7V9Pi6Wbqx4SjfzB9MB0GA1UdDgQWBBQt
VMoBb2V7UqrJt7iEzUbO2pMQazAfBgNVHSMEGDAWgBQtVMoBb2V7UqrJt7iEzUbO
2pMQazAaBgNVHREEEzARhwR/AAABgglsb2NhbGhvc3QwDgYDVR0PAQH/BAQDAgKE
MA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIhALeFWV1yO0X1qeo1
WmbDbMFbOYQpZeq7ArfXM2WSR1j/AiALEzSpKQ9NN5flVsyfat+IN66c3gFJ75y5
nMn0Oo+QRw==
-----END CERTIFICATE-----
"""
_KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg2SjIsoVg038QJ20a
iFszfJVwgtweKTHCf5i8Bmi/BpKhRANCAAQrKGxiq0+ytZPbi2uPT9L5cfLVzcei
LQt2RZu8j5W4G3RKh6/b29iy5LkdSVliTBFMng1q8+xPu1fT4ulm6seE
-----END PRIVATE KEY-----
"""


def serving(folder: Path) -> ssl.SSLContext:
    """Return how a peer on loopback speaks TLS; `folder` takes the files that the library insists on."""
    both = folder / "loopback"
    both.write_text(CERTIFICATE + _KEY)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return context


def trusted(folder: Path) -> Path:
    """Return a file with the certificate, for a client that trusts it."""
    file = folder / "trusted"
    file.write_text(CERTIFICATE)
    return file
