"""What runs inside mitmdump: the only folder of blockerd that imports mitmproxy."""
