"""What people look at: tables, verdicts, figures and judged claims, made from what experiments leave behind."""
