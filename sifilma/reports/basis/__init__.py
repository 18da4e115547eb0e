"""What an approver weighs beside a request: the applicant's units, cards and earlier letters."""
