"""What people look at: tables, figures, judged claims and HTML pages, made from the results of experiments."""
