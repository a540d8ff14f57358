"""jarkkit: the JARK stack on Amazon EKS, one notebook at a time, rehearsed first."""

__version__ = "0.1.0"
