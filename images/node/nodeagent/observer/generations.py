"""Commits of nftables as the kernel tells them on netlink, as bytes. Pure (linux/netfilter/nf_tables.h, nfnetlink.h).

Every commit, by nft and by iptables-nft alike, ends with one message of its generation. The rules themselves are not read here:
what one message says is a difference, and after a lost one differences are worth nothing.
"""

from __future__ import annotations

import struct

HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
NETLINK_NETFILTER = 12  # linux/netlink.h
SOL_NETLINK, ADD_MEMBERSHIP = 270, 1  # linux/socket.h, NETLINK_ADD_MEMBERSHIP
GROUP_NFTABLES = 7  # NFNLGRP_NFTABLES
NEW_GENERATION = 10 << 8 | 15  # NFNL_SUBSYS_NFTABLES, NFT_MSG_NEWGEN


def count_commits(received: bytes) -> int:
    """How many commits these messages end; what is cut off counts as none."""
    at, count = 0, 0
    while at + HEADER.size <= len(received):
        length, kind, *_ = HEADER.unpack_from(received, at)
        if length < HEADER.size:
            break
        count += kind == NEW_GENERATION
        at += (length + 3) & ~3
    return count
