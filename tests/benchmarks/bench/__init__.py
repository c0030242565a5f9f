"""What a streamed event and a call cost: `nox -s bench`.

upstream    a server of prebuilt answers, in a process of its own
scenarios   what is measured
clients     who is measured: raw httpx, airframe, avionics, other SDKs
worker      a process that runs one client
rounds      all clients in turn, round after round, and the medians
imports     what an import costs
table       the figures as Markdown
"""
