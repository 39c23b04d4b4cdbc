"""What the papers print and claim: tables, claims, the statistics that judge them, and verdicts."""
