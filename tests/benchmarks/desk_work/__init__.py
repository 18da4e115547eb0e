"""How much work six jobs are at a desk, on the pages of commit dab99ff and on today's."""
