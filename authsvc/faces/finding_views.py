"""Findings as the API and the command line show them."""

from authsvc.faces.answers import FindingView
from authsvc.faces.views import view_time
from authsvc.operations.list_findings import ShownFinding


def view_finding(shown: ShownFinding) -> FindingView:
    """Return a finding with its event: the operation, or a token whose use a silent registry did not report."""
    finding = shown.finding
    return {
        "id": shown.number,
        "kind": finding.kind,
        "service": finding.service,
        "since": view_time(finding.since),
        "found_at": view_time(finding.found_at),
        "seq": finding.seq,
        "event": None if shown.event is None else dict(shown.event.describe()),
    }
