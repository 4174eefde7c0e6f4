"""What went over the wire: capture files, headers, and TCP and UDP connections; no I/O and no clock.

`capture_file` turns bytes into packets, `links` and `decode` find the headers in one, `analysis` gives each
to its connection. There `segments` has Wireshark's rules for a single segment, `endpoints` Zeek's states of
both ends, and `machine` those of RFC 9293. `words` says it in a sentence.
"""
