"""A relay to a database server, at which something can happen before a certain command is handed on."""

import contextlib
import socket
import struct
import threading

_OP_MSG = 2013
_NOT_WORK = {"hello", "isMaster", "ismaster", "ping", "endSessions", "buildInfo"}  # the driver sends these by itself


class Relay:
    """Hands everything on between clients and a server on this machine.

    Args:
        port: of the server

    Attributes:
        port: where clients connect
    """

    def __init__(self, port):
        self._server_port = port
        self._sockets, self._lock = set(), threading.Lock()
        self._remaining, self._action = 0, None
        self.port = 0
        self.restore()

    def restore(self):
        """Takes connections, again."""
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", self.port))
        self._listener.listen()
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self):
        """Ends all connections and refuses further ones, as when the server is killed."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # or the thread that accepts keeps it open
        self._listener.close()
        for each in list(self._sockets):
            self._end(each)

    def arm(self, n, action):
        """Has something done once, after ``n`` further commands.

        Args:
            n: commands that are handed on before
            action: called before the next one is
        """
        with self._lock:
            self._remaining, self._action = n, action

    def disarm(self):
        """Gives whether what was armed has not been done."""
        with self._lock:
            action, self._action = self._action, None
            return action is not None

    def _accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", self._server_port))
            except OSError:
                return
            self._sockets |= {client, server}
            for source, sink, reads_commands in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._hand_on, args=(source, sink, reads_commands), daemon=True).start()

    def _hand_on(self, source, sink, reads_commands):
        try:
            while message := _message(source):
                if reads_commands and _command(message) not in _NOT_WORK:
                    self._count()
                sink.sendall(message)
        except OSError:
            pass
        self._end(source)
        self._end(sink)

    def _count(self):
        with self._lock:
            if self._action is None:
                return
            if self._remaining:
                self._remaining -= 1
                return
            action, self._action = self._action, None
            action()

    def _end(self, each):
        self._sockets.discard(each)
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()


def _message(source):
    """A whole message of the wire protocol of MongoDB, empty at the end."""
    header = _exactly(source, 16)
    return header and header + _exactly(source, struct.unpack("<i", header[:4])[0] - 16)


def _exactly(source, n):
    data = bytearray()
    while len(data) < n:
        if not (block := source.recv(n - len(data))):
            return b""
        data += block
    return bytes(data)


def _command(message):
    """The name of the command in a message, None in an answer or another kind of message."""
    if struct.unpack("<i", message[12:16])[0] != _OP_MSG or message[20] != 0:
        return "hello"
    return message[26 : message.index(b"\0", 26)].decode()
