"""A connection over TCP between a rank and its judge, whose both ends know one key."""

import socket
import struct
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge

HANDSHAKE_SECONDS = 5


def connect(host: str, port: int, key: bytes) -> Connection:
    """The rank's end. Raises OSError where nobody answers, or not with the key."""
    return _agree(socket.create_connection((host, port), timeout=HANDSHAKE_SECONDS), key, first=answer_challenge)


def accept(server: socket.socket, key: bytes) -> Connection:
    """The judge's end. Raises OSError for a caller without the key, TimeoutError where none comes in time."""
    there, _ = server.accept()
    return _agree(there, key, first=deliver_challenge)


def _agree(there: socket.socket, key: bytes, first: object) -> Connection:
    there.settimeout(None)
    there.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    _limit(there, HANDSHAKE_SECONDS)  # a stranger who says nothing shall not hold up the others
    connection = Connection(there.detach())
    try:
        for challenge in (first, *({answer_challenge, deliver_challenge} - {first})):
            challenge(connection, key)
    except (AuthenticationError, EOFError) as error:
        connection.close()
        raise OSError(f"no answer with the key: {error}") from None
    with socket.socket(fileno=connection.fileno()) as socket_again:
        _limit(socket_again, 0)
        socket_again.detach()
    return connection


def _limit(there: socket.socket, seconds: int) -> None:
    """A time limit of the system's for every read; 0: none."""
    there.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", seconds, 0))
