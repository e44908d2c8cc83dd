#!/bin/bash
# A home network inside a room: a router in a network namespace of its own that gives addresses and resolvers by DHCP,
# DHCPv6 and router advertisements, and whose resolver knows every name (192.0.2.80, 2001:db8:1::80) and logs each
# question. Called by the tests inside the room: lan.sh [LINK].
set -eu
link=${1:-home0}
mkdir -p /tmp/lan
ip netns add router
ip link add "$link" type veth peer name lan0 netns router
ip -n router link set lo up
ip -n router addr add 192.0.2.1/24 dev lan0
ip -n router addr add 2001:db8:1::1/64 dev lan0 nodad
ip -n router link set lan0 up
ip link set "$link" up
cat >/tmp/lan/dnsmasq.conf <<CONF
interface=lan0
bind-interfaces
no-resolv
no-hosts
address=/#/192.0.2.80
address=/#/2001:db8:1::80
log-queries
log-facility=/tmp/lan/questions
dhcp-range=192.0.2.100,192.0.2.150,255.255.255.0,1h
dhcp-option=option:dns-server,192.0.2.1
dhcp-range=2001:db8:1::100,2001:db8:1::200,slaac,64,1h
dhcp-option=option6:dns-server,[2001:db8:1::1]
enable-ra
dhcp-leasefile=/tmp/lan/leases
pid-file=/tmp/lan/pid
user=root
CONF
ip netns exec router dnsmasq --conf-file=/tmp/lan/dnsmasq.conf
