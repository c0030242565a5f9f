"""HTTP: the only package that knows httpx.

What happens here: connections, bytes, compression, and translating exceptions. Deadlines and meaning live above, in
`airframe.exchange`; what it asks of a transport stands in `airframe.transport`.
"""
