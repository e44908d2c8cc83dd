"""Pages, not only names: URL rules, the optional HTTPS proxy, and the certificate authority it signs with."""
