"""A JSON-RPC 2.0 batch becomes requests to an endpoint that answers single ones, and their answers become one.

    splitting  a body -> items, each as it was sent
    answers    what became of an item -> its response object
    objects    the response objects that are our own
    scanning   JSON, with nothing lost and nothing too deep

Laws: knows no wire, no process and no host; a worker gives the way to the endpoint. Nothing here is global.
"""
