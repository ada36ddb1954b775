"""The embedded stack: PostgreSQL, Valkey and SeaweedFS from wheels, the API and a worker, all in one folder.

command -> stack -> servers -> postgres, valkey, seaweed     what runs
                            -> processes -> watchdog         child processes
                            -> folder                        the lock, and what is kept between runs
"""
