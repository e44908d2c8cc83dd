"""The file that mitmdump is given (`-s`). It stands alone in its folder of scripts, which mitmproxy puts first on the
path while it loads it; the hooks themselves are imported like any module.
"""

from blockerd.proxy.addon.hooks import Addon

addons = [Addon()]
