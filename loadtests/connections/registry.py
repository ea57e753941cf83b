"""The connection classes that load.json can name."""

from collections.abc import Mapping

from loadtests.connections.keepalive import KeepAlive
from loadtests.connections.new import NewConnections
from loadtests.connections.seam import ConnectionClassFactory

CONNECTION_CLASSES: Mapping[str, ConnectionClassFactory] = {
    "new": NewConnections,
    "keepalive": KeepAlive,
}
