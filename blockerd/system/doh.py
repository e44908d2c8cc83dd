"""Addresses of well-known public resolvers that answer by HTTPS: the second belt refuses them on port 443. Pure.

Taken from what each operator publishes; addresses that serve other sites as well are left out, so that refusing one
costs nothing but the resolver. A name that is not here is refused by the list category `bypass`. Read by `nftables`.
"""

IPV4: tuple[str, ...] = (
    *("1.1.1.1", "1.0.0.1", "1.1.1.2", "1.0.0.2", "1.1.1.3", "1.0.0.3"),  # Cloudflare
    *("162.159.61.3", "162.159.61.4", "172.64.41.3", "172.64.41.4"),  # Cloudflare for Chrome and for Mozilla
    *("8.8.8.8", "8.8.4.4"),  # Google
    *("9.9.9.9", "149.112.112.112", "9.9.9.10", "149.112.112.10", "9.9.9.11", "149.112.112.11"),  # Quad9
    *(
        "208.67.222.222",
        "208.67.220.220",
        "208.67.222.123",
        "208.67.220.123",
        "146.112.41.2",
        "146.112.41.3",
    ),  # OpenDNS
    *("94.140.14.14", "94.140.15.15", "94.140.14.15", "94.140.15.16", "94.140.14.140", "94.140.14.141"),  # AdGuard
    *("194.242.2.2", "194.242.2.3", "194.242.2.4", "194.242.2.5", "194.242.2.6", "194.242.2.9"),  # Mullvad
    *("76.76.2.0", "76.76.10.0", "76.76.2.1", "76.76.10.1", "76.76.2.2", "76.76.10.2", "76.76.2.11"),  # Control D
    *("185.228.168.9", "185.228.169.9", "185.228.168.10", "185.228.168.168"),  # CleanBrowsing
    *("45.90.28.0/24", "45.90.30.0/24"),  # NextDNS
    *("223.5.5.5", "223.6.6.6", "1.12.12.12", "120.53.53.53", "101.101.101.101"),  # AliDNS, DNSPod, Quad101
    *("185.222.222.222", "45.11.45.11", "193.110.81.0", "185.253.5.0"),  # DNS.SB, dns0.eu
)
IPV6: tuple[str, ...] = (
    *("2606:4700:4700::1111", "2606:4700:4700::1001", "2606:4700:4700::1112", "2606:4700:4700::1002"),  # Cloudflare
    *("2606:4700:4700::1113", "2606:4700:4700::1003"),
    *("2001:4860:4860::8888", "2001:4860:4860::8844"),  # Google
    *("2620:fe::fe", "2620:fe::9", "2620:fe::10", "2620:fe::fe:10", "2620:fe::11", "2620:fe::fe:11"),  # Quad9
    *("2620:119:35::35", "2620:119:53::53"),  # OpenDNS
    *("2a10:50c0::ad1:ff", "2a10:50c0::ad2:ff", "2a10:50c0::bad1:ff", "2a10:50c0::1:ff"),  # AdGuard
    *("2a07:e340::2", "2a07:e340::3", "2a07:e340::4"),  # Mullvad
    *("2a07:a8c0::/32", "2400:3200::1", "2400:3200:baba::1"),  # NextDNS, AliDNS
)
ADDRESSES = (*IPV4, *IPV6)
EXAMPLE = IPV4[0]
"""The one that the self-probe tries: refused at once where the belt holds."""
