"""Letters and uploads, tables from files, and the PDFs this system writes."""
