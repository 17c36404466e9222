"""What the initiator does during a fault: fio jobs, and files whose content is known."""
