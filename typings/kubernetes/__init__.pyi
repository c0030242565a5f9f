# The part of kubernetes 37 that the project uses; it is typed only partly, and before 37 not at all.

from kubernetes import client as client
from kubernetes import config as config
