"""The configuration: every setting declared once, read strictly from one TOML file.

`find` and `load` give a `Settings`; SETTINGS is the table of all keys. Imported by every process, `dns` too: it
brings in nothing heavy.
"""

from blockerd.settings.address import Endpoint, Scheme, Upstream
from blockerd.settings.declare import Setting, Weaker
from blockerd.settings.keys import (
    SETTINGS,
    TABLES,
    Agent,
    BlockAnswer,
    Budget,
    Client,
    Dns,
    Every,
    Format,
    Level,
    Lists,
    NoteAddress,
    NoteFolder,
    OnPolicyError,
    Partner,
    Per,
    Privacy,
    PrivateRelay,
    Proxy,
    ProxyMode,
    Report,
    RoadName,
    Role,
    Schedule,
    Scope,
    Security,
    Settings,
    Smtp,
    Source,
    State,
    Time,
    Trust,
    Web,
    YouTube,
)
from blockerd.settings.load import OF_THE_RESOLVER, SYSTEM_FILE, ConfigError, ConfigUnreadable, find, load
from blockerd.settings.value import SendAt

__all__ = [
    "OF_THE_RESOLVER", "SETTINGS", "SYSTEM_FILE", "TABLES", "Agent", "BlockAnswer", "Budget", "Client", "ConfigError",
    "ConfigUnreadable", "Dns", "Endpoint", "Every", "Format", "Level", "Lists", "NoteAddress", "NoteFolder",
    "OnPolicyError", "Partner", "Per", "Privacy", "PrivateRelay", "Proxy", "ProxyMode", "Report", "RoadName", "Role",
    "Schedule", "Scheme", "Scope", "Security", "SendAt", "Setting", "Settings", "Smtp", "Source", "State", "Time",
    "Trust", "Upstream", "Weaker", "Web", "YouTube", "find", "load",
]  # fmt: skip
