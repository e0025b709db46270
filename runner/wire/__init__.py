"""Bytes to events and back: one file a protocol, one machine for each end of a connection.

Laws: no socket, no clock, no thread, no event loop, no log, no application. Bytes come in as an argument and
go out as a return value, so every test is a table and both ends of a wire can be played against each other.

`records` is the alphabet of FastCGI; `fastcgi` and `requester` are its two ends, the application's and the
web server's. `parameters` reads the usual request's; it has a twin in C, `_parameters`, which need not be there.
`headers` is how a response's headers look on any wire.
"""
