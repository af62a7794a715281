/*
 * grant: one waiter, its tickets and the grants that answer them.
 *
 * Scripts:  enqueue.lua, pass.lua, withdraw.lua, renew.lua.
 * Client:   line.go: told, accept, passOn, withdrawLocked, earliest; client.go: withdraw,
 *           forward, decline; tenure.go: attempt, acquire, undoLater.
 *
 * One process has one owner who waits, holds, unlocks and gives up waiting. The others
 * are one: whoever has the lock, passes it on, serves the queue as an heir, or takes the
 * lock when it is free. They are ideal: what they trust is theirs.
 *
 * Commands and replies take any time. So do grants, but time does not pass while one
 * is under way or unread, unless a fault makes it late (a slow network, or a frozen
 * process). Other faults: a broken connection, after which a command may run late; a
 * dropped subscription, whose messages are lost; a step of the server's clock.
 */
#ifndef FAULTS
#define FAULTS 1
#endif

#define LEASE  4
#define FIRST  3 /* the lease of a grant, until it is confirmed */
#define MARGIN 1 /* how long before its end a lease is no longer trusted */
#define OLD    4 /* ages from here on are all the same */
#define STEP   2 /* of a clock that is set, more than the margin */

#define NAMES    (1 + FAULTS)
#define ATTEMPTS 3
#define OTHERS   9
#define TICKETS  (1 + 2 * FAULTS)
#define GRANTS   (ATTEMPTS + FAULTS)
#define COPIES   (1 + 2 * FAULTS)

#define MOST(a, b) (((a) > (b)) -> (a) : (b))
#define LEAST(a, b) (((a) < (b)) -> (a) : (b))

#ifdef NO_ATTEMPT
#define ANSWERS(a) true
#else
#define ANSWERS(a) ((a) == place)
#endif

#ifdef NO_CLOCK_CHECK
#define YOUNGEST 0
#else
#define YOUNGEST STEP
#endif

#if FAULTS > 1
#define QUIET (net[1].kind == NONE && net[2].kind == NONE && net[3].kind == NONE && net[4].kind == NONE)
#else
#define QUIET (net[1].kind == NONE && net[2].kind == NONE)
#endif

/* Commands. */
#define NONE 0
mtype = { ENQUEUE, PASS, WITHDRAW, RENEW };

/* The server. */
byte owner, ttl;
byte clock = STEP;           /* its offset from true time */
typedef ticket { byte name; byte attempt };
ticket queue[TICKETS];

/* The network. */
typedef command { byte kind; byte name; byte attempt; byte old_name; byte old_attempt };
command net[COPIES];         /* 0: the script that is awaited; the others: strays */
typedef grant { byte name; byte attempt; byte age; byte clock };
grant mail[GRANTS];          /* in order */
bit late;                    /* time passes although a grant is under way */
byte room = 1;         /* marks what is asserted of the model itself */
#ifdef NO_FORWARD_TURN
byte faults = 0;             /* it takes none */
#else
byte faults = FAULTS;
#endif

/* The process. */
byte name = 1;
bit  retired;
bit  waiting;
byte attempt;                /* of the last ticket */
bit  doubt;                  /* it may have the lock: it finds out by trying */
byte place;                  /* attempt of the waiter's ticket; 0: none was left for it */
byte ticket_name, ticket_attempt; /* that may lie in the queue */
byte anchor = STEP;          /* offset of the server's clock when it was read */
grant served;                /* the answer to the waiter's ticket */
byte holding;                /* 1: a hold; 2: it is given back */
byte trust;
bit  provisional;

byte op;
byte op_name, op_age, op_old_name, op_old_attempt;
bit  left, answered, got, undoing;
byte forwarding;             /* names with a grant that nobody waits for, one bit each */
byte quitting_name, quitting_attempt; /* ticket that is to be withdrawn */
bit  excused;                /* the lock ends with its lease: an outcome stayed unknown, or the hold's time was over */

byte i, j;

inline clear_grant(m) { m.name = 0; m.attempt = 0; m.age = 0; m.clock = 0 }

inline send(c, k, n) {
	assert(room && net[c].kind == NONE);
	net[c].kind = k; net[c].name = n;
	printf("process: sends %e of name %d\n", k, n)
}

inline forget(c) {
	net[c].kind = NONE; net[c].name = 0; net[c].attempt = 0; net[c].old_name = 0; net[c].old_attempt = 0
}

inline find_slot() {
	i = 1;
	do
	:: i < COPIES && net[i].kind != NONE -> i++
	:: else -> break
	od;
	assert(room && i < COPIES)
}

inline stray(k, n) {
	find_slot();
	send(i, k, n);
	i = 0
}

inline abandon() {
	if
	:: net[0].kind != NONE ->
		find_slot();
		net[i].kind = net[0].kind; net[i].name = net[0].name; net[i].attempt = net[0].attempt;
		net[i].old_name = net[0].old_name; net[i].old_attempt = net[0].old_attempt;
		forget(0);
		i = 0
	:: else
	fi
}

inline done() {
	op = NONE; op_name = 0; op_old_name = 0; op_old_attempt = 0; op_age = 0; answered = 0; got = 0; left = 0; undoing = 0
}

/* A script of name n that takes ticket b of name m out of the queue, or its place. */
inline ask(k, n, m, b) {
	op = k; op_name = n; op_old_name = m; op_old_attempt = b; op_age = 0; answered = 0; got = 0;
	send_op()
}

inline send_op() {
	send(0, op, op_name);
	net[0].old_name = op_old_name; net[0].old_attempt = op_old_attempt;
	if
	:: op == ENQUEUE -> net[0].attempt = attempt
	:: else
	fi
}

inline retire() {
#ifdef NO_RENAME
	retired = 0
#else
	retired = 1
#endif
}

/* The ticket at place i of the queue leaves it. */
inline unqueue() {
	do
	:: i < TICKETS - 1 ->
		queue[i].name = queue[i + 1].name; queue[i].attempt = queue[i + 1].attempt; i++
	:: else -> break
	od;
	queue[i].name = 0; queue[i].attempt = 0;
	i = 0
}

/* Where a ticket lies in the queue is i, else i is TICKETS. */
inline find_ticket(n, a) {
	i = 0;
	do
	:: i < TICKETS && !(queue[i].name == n && queue[i].attempt == a) -> i++
	:: else -> break
	od
}

inline remove_ticket(n, a) {
	if
	:: n != 0 ->
		find_ticket(n, a);
		if
		:: i < TICKETS -> unqueue()
		:: else -> i = 0
		fi
	:: else
	fi
}

/* The lock is free: the first ticket is served, if there is one. */
inline serve_queue() {
	owner = 0; ttl = 0; excused = 0;
	if
	:: queue[0].name != 0 ->
		owner = queue[0].name; ttl = FIRST;
		j = 0;
		do
		:: j < GRANTS && mail[j].name != 0 -> j++
		:: else -> break
		od;
		assert(room && j < GRANTS);
		mail[j].name = queue[0].name; mail[j].attempt = queue[0].attempt;
		mail[j].age = 0; mail[j].clock = clock;
		printf("server: grants ticket %d of name %d\n", queue[0].attempt, queue[0].name);
		j = 0; i = 0;
		unqueue()
	:: else
	fi
}

inline execute(c) {
	s = 0;
	if
	:: net[c].kind == ENQUEUE ->
		if
		:: ttl == 0 || owner == net[c].name ->
			/* A late one may take the lock for nobody, for one lease. */
			excused = c > 0;
			owner = net[c].name; ttl = MOST(ttl, LEASE); s = 1;
			remove_ticket(net[c].old_name, net[c].old_attempt)
		:: else ->
			find_ticket(net[c].old_name, net[c].old_attempt);
			if
			:: net[c].old_name != 0 && i < TICKETS
			:: else -> find_ticket(0, 0)
			fi;
			assert(room && i < TICKETS);
			queue[i].name = net[c].name; queue[i].attempt = net[c].attempt;
			i = 0
		fi
	:: net[c].kind == PASS ->
		if
		:: owner == net[c].name ->
			s = 1;
			remove_ticket(net[c].old_name, net[c].old_attempt);
			serve_queue()
		:: else
		fi
	:: net[c].kind == WITHDRAW ->
		remove_ticket(net[c].old_name, net[c].old_attempt);
		s = (owner == net[c].name)
	:: net[c].kind == RENEW ->
		if
		:: owner == net[c].name -> s = 1; ttl = MOST(ttl, LEASE)
		:: else
		fi
	fi;
	printf("server: runs %e of name %d, ticket %d: %d; now owner %d ttl %d\n",
		net[c].kind, net[c].name, net[c].attempt, s, owner, ttl);
	forget(c);
	if
	:: c == 0 -> answered = 1; got = s
	:: else
	fi;
	s = 0
}

/* Who gives a lock back takes the process's own ticket out of the queue. */
inline pass(n) {
	ask(PASS, n, ticket_name, ticket_attempt);
	ticket_name = 0; ticket_attempt = 0
}

/* A lock that the server gave to name n is passed on, unless it is wanted. */
inline decline(n) {
	if
	:: n == name && (waiting && !retired || holding != 0) -> doubt = waiting; done()
	:: else -> i = n; done(); undoing = 1; pass(i); i = 0
	fi
}

inline enqueue() {
	attempt++; doubt = 0;
	ask(ENQUEUE, name, ticket_name, ticket_attempt);
	ticket_name = name; ticket_attempt = attempt; place = attempt
}

/* The waiter goes on under another name, if its own is retired. What the old one may have
 * been given is of no use to it. */
inline rename() {
	if
	:: retired ->
#ifndef NO_FORWARD_RETIRED
		if
		:: doubt -> forwarding = forwarding | (1 << name)
		:: else
		fi;
#endif
		name++; retired = 0
	:: else
	fi
}

inline told() {
	printf("process: hears of a grant, ticket %d of name %d\n", mail[0].attempt, mail[0].name);
	if
	:: ticket_name == mail[0].name && ticket_attempt == mail[0].attempt -> ticket_name = 0; ticket_attempt = 0
	:: else
	fi;
	if
	:: waiting && mail[0].name == name && ANSWERS(mail[0].attempt) ->
		served.name = mail[0].name; served.attempt = mail[0].attempt;
		served.age = mail[0].age; served.clock = mail[0].clock
	:: waiting && mail[0].name == name && !ANSWERS(mail[0].attempt)
		-> doubt = 1
#ifdef NO_FORWARD_HELD
	:: !(waiting && mail[0].name == name) && holding != 0 && mail[0].name == name
#endif
	:: else ->
#ifdef NO_FORWARD
		skip
#else
#ifdef NO_FORWARD_TURN
		j = mail[0].name; stray(PASS, j); j = 0
#else
		forwarding = forwarding | (1 << mail[0].name)
#endif
#endif
	fi;
	i = 0;
	do
	:: i < GRANTS - 1 ->
		mail[i].name = mail[i + 1].name; mail[i].attempt = mail[i + 1].attempt;
		mail[i].age = mail[i + 1].age; mail[i].clock = mail[i + 1].clock; i++
	:: else -> break
	od;
	clear_grant(mail[i]);
	i = 0
}

/* The age of the grant as the process knows it, plus STEP, is i: what the server's
 * clock says, if nobody set it between the anchor and the grant. */
inline accept() {
#ifdef NO_SERVER_TIME
	i = STEP;
#else
	i = served.age + anchor + STEP - served.clock;
#endif
	if
	:: holding == 0 && !retired && i < STEP + FIRST - MARGIN && i >= YOUNGEST ->
		holding = 1; waiting = 0; place = 0; doubt = 0; trust = STEP + FIRST - MARGIN - i; provisional = 1;
		printf("process: accepts the grant, trust %d\n", trust)
	:: else ->
		printf("process: refuses the grant\n");
		doubt = 1
	fi;
	i = 0;
	clear_grant(served)
}

/* A waiter that leaves, with a hold or without, has no use for a grant. */
inline unserve() {
	if
	:: served.name != 0 ->
#ifndef NO_FORWARD
		forwarding = forwarding | (1 << served.name);
#endif
		clear_grant(served)
	:: else
	fi
}

/* The waiter gives up. */
inline leave() {
	printf("process: gives up waiting\n");
	waiting = 0;
	if
	:: op == ENQUEUE -> left = 1
	:: else
	fi;
	if
	:: served.name != 0 -> unserve()
	:: served.name == 0 && place != 0 && place == ticket_attempt ->
		quitting_name = ticket_name; quitting_attempt = ticket_attempt;
		ticket_name = 0; ticket_attempt = 0
#ifndef NO_DOUBT
	:: served.name == 0 && !(place != 0 && place == ticket_attempt) && doubt ->
		forwarding = forwarding | (1 << name)
#endif
	:: else
	fi;
	place = 0; doubt = 0
}

inline reply() {
	if
	:: op == ENQUEUE && got ->
		if
		:: left -> decline(op_name)
		:: !left && op_age + MARGIN >= LEASE ->
			waiting = 0; place = 0; doubt = 0; unserve();
			decline(op_name)
		:: else ->
			holding = 1; waiting = 0; place = 0; doubt = 0; trust = LEASE - MARGIN - op_age; provisional = 0;
			unserve();
			printf("process: found itself the owner, trust %d\n", trust);
			done()
		fi
	:: op == ENQUEUE && !got -> done()
	:: op == PASS && !undoing -> holding = 0; done()
	:: op == PASS && undoing -> done()
	:: op == WITHDRAW ->
#ifndef NO_WITHDRAW_PASS
		if
		:: got -> decline(op_name)
		:: else -> done()
		fi
#else
		done()
#endif
	:: op == RENEW ->
		if
		:: got && holding == 1 -> trust = MOST(trust, MOST(LEASE - MARGIN, op_age) - op_age); provisional = 0
		:: else
		fi;
		done()
	fi
}

inline check() {
	assert(!(holding == 1 && trust > 0 && owner != 0 && owner != name));
	/* Nobody knows of the lock that this process has. */
	assert(!(owner != 0 && owner != OTHERS && !excused && op == NONE && holding == 0 && !waiting &&
		mail[0].name == 0 && forwarding == 0 && quitting_name == 0 && QUIET))
}

active proctype world()
{
	byte s;
end:	do
	/* The process. */
	:: d_step { !waiting && holding == 0 && op == NONE && !(retired && name == NAMES) -> waiting = 1; rename() }
	:: d_step { waiting && op == NONE && served.name == 0 && attempt < ATTEMPTS && !(retired && name == NAMES) ->
		rename();
		enqueue() }
	:: d_step { waiting && quitting_name == 0 -> leave(); check() }
	:: d_step { served.name != 0 && op == NONE -> accept(); check() }
	:: d_step { holding == 1 && op == NONE -> holding = 2; trust = 0; provisional = 0; pass(name) }
	:: d_step { holding == 1 && op == NONE && provisional -> ask(RENEW, name, 0, 0) }
	:: d_step { holding == 1 && trust == 0 && op == NONE ->
		holding = 0; provisional = 0; excused = excused || owner == name; check() }
	:: d_step { (forwarding & 2) && op == NONE -> decline(1); forwarding = forwarding & ~2; check() }
	:: d_step { (forwarding & 4) && op == NONE -> decline(2); forwarding = forwarding & ~4; check() }
#if FAULTS > 1
	:: d_step { (forwarding & 8) && op == NONE -> decline(3); forwarding = forwarding & ~8; check() }
#endif
	:: d_step { quitting_name != 0 && op == NONE ->
		ask(WITHDRAW, quitting_name, quitting_name, quitting_attempt);
		quitting_name = 0; quitting_attempt = 0 }
	:: d_step { answered -> reply(); check() }
	/* The server's time comes with a reply to a ticket, but not with each. */
	:: d_step { answered && op == ENQUEUE && !got && anchor != clock -> anchor = clock; reply(); check() }
	:: d_step { mail[0].name != 0 -> told(); check() }

	/* The server. */
	:: d_step { net[0].kind != NONE -> execute(0); check() }
	:: d_step { net[1].kind != NONE -> execute(1); check() }
	:: d_step { net[2].kind != NONE -> execute(2); check() }
#if FAULTS > 1
	:: d_step { net[3].kind != NONE -> execute(3); check() }
	:: d_step { net[4].kind != NONE -> execute(4); check() }
#endif

	/* The others: they pass the lock on or serve the queue as heirs; or take the lock. */
	:: d_step { owner == OTHERS || owner == 0 && queue[0].name != 0 -> serve_queue(); check() }
	:: d_step { owner == 0 -> owner = OTHERS; ttl = 1; printf("another takes the lock\n"); check() }

	/* Fault: the connection breaks. The script is sent again, or given up. */
	:: d_step { op != NONE && faults > 0 ->
		faults--;
		printf("the connection breaks\n");
		abandon();
		if
		:: op == PASS && op_name == name -> retire()
		:: else
		fi;
		answered = 0; got = 0; op_age = 0;
		send_op();
		check() }
	:: d_step { op != NONE && faults > 0 ->
		faults--;
		printf("the connection breaks\n");
		abandon();
		excused = 1;
		if
		:: op == PASS && op_name == name -> retire(); holding = (undoing -> holding : 0)
		:: op == ENQUEUE -> retire(); stray(PASS, op_name)
		:: else
		fi;
		done(); check() }

	/* Fault: the subscription is dropped. A new one makes the waiter try, as it may anyway.
	 * After another fault nobody may know of the ticket: the lock ends with its first lease. */
	:: d_step { mail[0].name != 0 && faults > 0 ->
		faults--;
		i = 0;
		do
		:: i < GRANTS -> clear_grant(mail[i]); i++
		:: else -> break
		od;
		i = 0;
		excused = excused || faults + 1 < FAULTS;
		check() }

	/* Fault: a grant is late. */
	:: d_step { (mail[0].name != 0 || served.name != 0) && !late && faults > 0 -> faults--; late = 1 }

	/* Fault: a step of the server's clock, by no more than the margin in all; or by more, while
	 * nobody counts on the time to live that the lock has now, and no other fault comes. */
	:: d_step { faults > 0 && clock == STEP -> faults--; clock++;
		ttl = (owner == OTHERS -> ttl : MOST(ttl, 1) - 1); owner = (ttl == 0 -> 0 : owner);
		excused = excused && owner != 0; check() }
	:: d_step { faults > 0 && clock == STEP -> faults--; clock--;
		ttl = (owner != OTHERS && owner != 0 -> ttl + 1 : ttl); check() }
	:: d_step { faults == FAULTS && (owner == OTHERS || owner == 0) -> faults = 0; clock = 2 * STEP }
	:: d_step { faults == FAULTS && (owner == OTHERS || owner == 0) -> faults = 0; clock = 0 }

	/* Time. */
	:: d_step { (late || mail[0].name == 0 && served.name == 0) &&
		(owner != OTHERS && ttl > 0 || trust > 0 || op != NONE && op_age < OLD ||
		 mail[0].name != 0 && mail[0].age < OLD || served.name != 0 && served.age < OLD) ->
		printf("-- time passes\n");
		trust = trust - (trust > 0);
		op_age = op_age + (op != NONE && op_age < OLD);
		served.age = served.age + (served.name != 0 && served.age < OLD);
		i = 0;
		do
		:: i < GRANTS -> mail[i].age = mail[i].age + (mail[i].name != 0 && mail[i].age < OLD); i++
		:: else -> break
		od;
		i = 0;
		if
		:: owner != OTHERS && ttl > 0 ->
			ttl--;
			if
			:: ttl == 0 -> owner = 0; excused = 0
			:: else
			fi
		:: else
		fi;
		check() }
	od
}
