# SPDX-License-Identifier: MIT OR Apache-2.0
"""A host on the Internet: tells whoever speaks to it over TCP port 80 or UDP port 53 where it sees that come from."""
import socket
import sys
import threading


def seen(peer):
    return f"{peer[0].removeprefix('::ffff:')} {peer[1]}\n".encode()


def serve(connection, peer):
    with connection:
        connection.sendall(seen(peer))
        while data := connection.recv(4096):
            connection.sendall(data)


def tcp(listener):
    while True:
        threading.Thread(target=serve, args=listener.accept(), daemon=True).start()


def udp(address):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind((address, 53))
        while True:
            _, peer = datagrams.recvfrom(65535)
            datagrams.sendto(seen(peer), peer)


threading.stack_size(65536)
listener = socket.create_server(("", 80), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024)
for address in sys.argv[1:]:
    threading.Thread(target=udp, args=(address,), daemon=True).start()
print("ready", flush=True)
tcp(listener)
