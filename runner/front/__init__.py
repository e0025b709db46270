"""Faces the web server, the browser, the proxy.

    connection     one accepted socket: read, write, close without loss
    machine        what it expects of whoever speaks over it
    exchange       one request and the way its answer takes back; what holds on every wire
    body           a request body while it arrives
    variables      the CGI meta-variables, the same ones from every web server
    twins          reads them from the usual FastCGI request, in C or in Python
    on_change      what becomes of a request that finds newer code on the disk
    fastcgi        FastCGI requests of one connection
    http           the same from plain HTTP/1.1
    http_head      its request line and headers, strictly
    http_framing   where its body ends
    http_exchange  the way its answer takes back
    http_peer      who is at its other end, and whom to believe about it
    upgrade        a request that asks for a WebSocket, and what becomes of it
    handshake      what is said to it
    websocket      messages, pings and the end of one
    moved          one that comes from another process
    luggage        what comes along with it
    inside         a request that the runner makes itself, without a wire
    limits         the few numbers a front goes by

Law: a front knows no application; all it knows of the process around it is runner.request.Service.
"""
