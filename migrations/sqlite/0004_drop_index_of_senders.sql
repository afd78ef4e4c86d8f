-- How many messages somebody had sent by a read mark is looked up from the room's
-- end down, as in PostgreSQL. Every message touched a page of this index for it.
DROP INDEX messages_by_sender;
