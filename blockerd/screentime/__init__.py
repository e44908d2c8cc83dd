"""Screen time: hours at the machine by app and by kind of site, measured per user and kept without window titles."""
