"""A ticket or a JWT for a user, signed by the application itself with the key of callout's configuration.

    python3 sign.py ticket ticket.key ann 'users/ann/*'
    python3 sign.py jwt app.key ann 'users/ann/*'
"""

import base64
import hashlib
import hmac
import json
import sys
import time


def text(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def mac(key, message):
    return hmac.new(key, message, hashlib.sha256).digest()


def ticket(key, user, subscribe=(), publish=(), seconds=600):
    now = time.time_ns() // 1000  # microseconds
    claims = {
        "user": user,
        "subscribe": list(subscribe),
        "publish": list(publish),
        "issued": now,
        "expires": now + seconds * 1_000_000,
    }
    key_id = text(mac(key, b"callout key id")[:3])
    signed = f"ct1.{key_id}.{text(json.dumps(claims).encode())}"
    return f"{signed}.{text(mac(key, signed.encode()))}"


def jwt(key, user, subscribe=(), publish=(), seconds=600):
    now = time.time()  # a fraction, so that it is known what was signed before a revocation
    claims = {
        "sub": user,
        "aud": "callout",
        "iat": now,
        "exp": now + seconds,
        "callout": {"subscribe": list(subscribe), "publish": list(publish)},
    }
    parts = [{"alg": "HS256", "typ": "JWT"}, claims]
    signed = ".".join(text(json.dumps(part).encode()) for part in parts)
    return f"{signed}.{text(mac(key, signed.encode()))}"


if __name__ == "__main__":
    kind, key_file, user, *topics = sys.argv[1:]
    with open(key_file, "rb") as file:
        key = file.read().rstrip(b"\r\n")  # a line end is no part of the key
    print({"ticket": ticket, "jwt": jwt}[kind](key, user, topics))
