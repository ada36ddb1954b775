"""Plan FASTQ: reads, or pairs of them."""

from slicery_service.planning.records import plan

__all__ = ["plan"]
