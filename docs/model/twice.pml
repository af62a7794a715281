/*
 * twice: one owner in two goroutines of a process.
 *
 * Scripts:  enqueue.lua, acquire.lua, pass.lua, release.lua, withdraw.lua.
 * Client:   grant.go: accept, spent; acquire.go: try, served; waiter.go: move, leave;
 *           tenure.go: attempt, acquire, grant, undo; line.go: told; decline.go;
 *           release.go: undoLater; client.go: roomLocked, vacateLocked.
 *
 * Two calls of one owner wait for a lock or try only, hold it, unlock and give up, one
 * after the other or both at once. Who is in front leaves tickets. After an unknown
 * outcome calls come under another name, while one that waits still has the old one;
 * scripts of one name come one after another. The others are one: whoever has the lock,
 * passes it on or serves the queue as an heir, or takes the lock when it is free.
 *
 * Time does not pass: no lease ends. A grant that is late is as good as on time, unless
 * this process gave the lock back. Replies and grants take any time. Fault: a broken
 * connection, after which a command may run late.
 */
#ifndef FAULTS
#define FAULTS 1
#endif

#define CALLS    2 /* in all */
#define NAMES    2
#define ATTEMPTS 2
#define OTHERS   9
#define TICKETS  (2 + 2 * FAULTS)
#define GRANTS   (ATTEMPTS + FAULTS)
#define COPIES   (1 + NAMES + 2 * FAULTS)

#ifdef NO_SPENT
#define SPENT(c) false
#else
#define SPENT(c) (call[c].served <= term[call[c].name].spent)
#endif

#ifdef NO_RETIRED
#define RETIRED(c) false
#else
#define RETIRED(c) term[call[c].name].retired
#endif

/* Commands. */
#define NONE 0
mtype = { ENQUEUE, PASS, RELEASE, WITHDRAW };

/* The server. */
byte owner;
typedef ticket { byte name; byte attempt };
ticket queue[TICKETS];

/* The network. 1 to NAMES: the script of that name that is awaited; others: strays. */
typedef command { byte kind; byte name; byte attempt; byte old_name; byte old_attempt };
command net[COPIES];
ticket mail[GRANTS];         /* grants, in order */
byte sending;                /* the name whose script is sent just now */
bit room = 1;                /* marks what is asserted of the model itself */
byte faults = FAULTS;

/* The process: its calls. */
#define OUT    0
#define WAITS  1
#define HOLDS  2
#define LEAVES 3             /* a hold is given back */
typedef caller {
	byte state; byte name;
	byte trying;         /* 1: it waits for its turn; 2: and the lock may be its */
	byte place;          /* attempt of its last ticket */
	byte served_name; byte served; /* the answer to that */
	bit owed             /* the lock may be its: it finds out by trying */
};
caller call[2];
byte calls;                  /* so far */
byte front;                  /* of those who wait */
byte attempt;                /* of the last ticket */
byte ticket_name, ticket_attempt; /* that may lie in the queue */
byte quitting, quitting_name, quitting_attempt; /* who withdraws which ticket */
byte forwarding;             /* names with a grant that nobody waits for, one bit each */

/* The names. Each has one script at a time: its turn. */
typedef tenure { bit retired; byte spent; byte op; byte who; bit owed; bit left; bit open; bit got };
tenure term[NAMES + 1];
bit excused;                 /* the lock ends with its lease: an outcome stayed unknown */

byte i, j;

#define STANDING(n) ((call[0].state == HOLDS && call[0].name == n) + (call[1].state == HOLDS && call[1].name == n))
#define HELD(n) ((call[0].state >= HOLDS && call[0].name == n) + (call[1].state >= HOLDS && call[1].name == n))
#define WAITING(n) ((call[0].state == WAITS && call[0].name == n) || (call[1].state == WAITS && call[1].name == n))
#define NOBODY (call[0].state < HOLDS && call[1].state < HOLDS)
#define BUSY(c) (term[call[c].name].op != NONE && term[call[c].name].who == c && !term[call[c].name].left)
#define CURRENT (term[1].retired -> 2 : 1)
#define UNNAMED (term[1].retired && term[2].retired)
#define IDLE (term[1].op == NONE && term[2].op == NONE)
#if FAULTS > 1
#define QUIET (net[3].kind == NONE && net[4].kind == NONE && net[5].kind == NONE && net[6].kind == NONE)
#else
#define QUIET (net[3].kind == NONE && net[4].kind == NONE)
#endif
#define NOBODYS 2            /* a script that no call waits for */

inline forget(c) {
	net[c].kind = NONE; net[c].name = 0; net[c].attempt = 0; net[c].old_name = 0; net[c].old_attempt = 0
}

inline find_slot() {
	i = NAMES + 1;
	do
	:: i < COPIES && net[i].kind != NONE -> i++
	:: else -> break
	od;
	assert(room && i < COPIES)
}

/* A copy of the awaited script of name n may run late. */
inline abandon(n) {
	find_slot();
	net[i].kind = net[n].kind; net[i].name = n; net[i].attempt = net[n].attempt;
	net[i].old_name = net[n].old_name; net[i].old_attempt = net[n].old_attempt;
	i = 0;
	term[n].open = 1
}

inline done(n) {
	forget(n);
	term[n].op = NONE; term[n].who = 0; term[n].owed = 0; term[n].left = 0; term[n].open = 0; term[n].got = 0
}

inline ask(n, k, c) {
	term[n].op = k; term[n].who = c;
	net[n].kind = k; net[n].name = n; sending = n;
	printf("process: sends %e of name %d for %d\n", k, n, c)
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
	owner = 0; excused = 0;
	if
	:: queue[0].name != 0 ->
		owner = queue[0].name;
		i = 0;
		do
		:: i < GRANTS && mail[i].name != 0 -> i++
		:: else -> break
		od;
		assert(room && i < GRANTS);
		mail[i].name = queue[0].name; mail[i].attempt = queue[0].attempt;
		printf("server: grants ticket %d of name %d\n", queue[0].attempt, queue[0].name);
		i = 0;
		unqueue()
	:: else
	fi
}

inline execute(c) {
	s = (owner == net[c].name);
	if
	:: net[c].kind == ENQUEUE ->
		if
		:: owner == 0 || owner == net[c].name ->
			/* A late one may take the lock for nobody, for one lease. */
			excused = excused && owner != 0 || c > NAMES;
			owner = net[c].name; s = 1;
			remove_ticket(net[c].old_name, net[c].old_attempt)
		:: else ->
			if
			:: net[c].attempt != 0 ->
				find_ticket(net[c].old_name, net[c].old_attempt);
				if
				:: net[c].old_name != 0 && i < TICKETS
				:: else -> find_ticket(0, 0)
				fi;
				assert(room && i < TICKETS);
				queue[i].name = net[c].name; queue[i].attempt = net[c].attempt;
				i = 0
			:: else
			fi
		fi
	:: net[c].kind == PASS ->
		if
		:: s ->
			remove_ticket(net[c].old_name, net[c].old_attempt);
			serve_queue()
		:: else
		fi
	:: net[c].kind == RELEASE ->
		if
		:: s -> owner = 0; excused = 0
		:: else
		fi
	:: net[c].kind == WITHDRAW ->
		remove_ticket(net[c].old_name, net[c].old_attempt)
	fi;
	printf("server: runs %e of name %d, ticket %d: %d; now owner %d\n",
		net[c].kind, net[c].name, net[c].attempt, s, owner);
	if
	:: c <= NAMES -> term[c].got = s
	:: else -> forget(c)
	fi;
	s = 0
}

inline pass(n, c) {
	ask(n, PASS, c);
	net[n].old_name = ticket_name; net[n].old_attempt = ticket_attempt
}

inline clear_served(c) { call[c].served_name = 0; call[c].served = 0 }

inline leave_room(c) {
	front = (call[1 - c].state == WAITS -> 1 - c : 0);
	call[c].place = 0; call[c].owed = 0;
	clear_served(c)
}

/* A waiter leaves, with a hold or without. */
inline leave(c) {
	if
	:: call[c].served != 0 -> forwarding = forwarding | (1 << call[c].served_name)
	:: else ->
		if
		:: call[c].owed -> forwarding = forwarding | (1 << call[c].name)
		:: else
		fi;
		if
		:: call[c].place != 0 && call[c].place == attempt && ticket_name != 0 && call[1 - c].state != WAITS ->
			quitting = call[c].name; quitting_name = ticket_name; quitting_attempt = ticket_attempt;
			ticket_name = 0; ticket_attempt = 0
		:: else
		fi
	fi;
	leave_room(c)
}

inline go(c) {
	call[c].state = OUT; call[c].name = 0; call[c].trying = 0
}

inline join(c) {
	call[c].state = WAITS;
	if
	:: call[1 - c].state != WAITS -> front = c
	:: else
	fi
}

/* A call has got a hold. */
inline obtain(c) {
	term[call[c].name].spent = attempt;
	if
	:: call[c].state == WAITS -> leave(c)
	:: else
	fi;
	call[c].state = HOLDS;
	printf("process: %d holds as name %d\n", c, call[c].name)
}

/* A call begins to try, which takes its name's turn. It does not know meanwhile. */
inline decide(c) {
	call[c].trying = 1 + call[c].owed; call[c].owed = 0
}

inline undecide(c) {
	call[c].owed = call[c].owed || call[c].trying == 2; call[c].trying = 0
}

/* It is the turn of a call that tries. */
inline try(c) {
	if
	:: STANDING(call[c].name) > 0 -> call[c].trying = 0; obtain(c)
	:: STANDING(call[c].name) == 0 && term[call[c].name].retired ->
		undecide(c);
#ifndef NO_FORWARD_RETIRED
		if
		:: call[c].served != 0 || call[c].owed -> forwarding = forwarding | (1 << call[c].name)
		:: else
		fi;
#endif
#ifndef NO_MOVE
		clear_served(c);
#endif
		call[c].owed = 0; call[c].trying = 1; call[c].name = CURRENT;
		printf("process: %d is name %d from now on\n", c, call[c].name)
	:: else ->
		j = call[c].name;
		ask(j, ENQUEUE, c);
		term[j].owed = (call[c].trying == 2);
		call[c].trying = 0;
		if
		:: call[c].state == WAITS && front == c && NOBODY && attempt < ATTEMPTS ->
			attempt++;
			net[j].attempt = attempt;
			net[j].old_name = ticket_name; net[j].old_attempt = ticket_attempt;
			ticket_name = j; ticket_attempt = attempt; call[c].place = attempt
		:: else
		fi;
		j = 0
	fi
}

inline accept(c) {
	if
	:: STANDING(call[c].name) == 0 && !SPENT(c) && !RETIRED(c) ->
		printf("process: %d accepts grant %d\n", c, call[c].served);
		clear_served(c);
		obtain(c)
	:: else ->
		printf("process: %d refuses grant %d\n", c, call[c].served);
		clear_served(c);
		call[c].owed = 1;
		decide(c)
	fi
}

#define HEARS(c) (call[c].state == WAITS && call[c].name == mail[0].name)

inline answer(c) {
	if
	:: call[c].place == mail[0].attempt -> call[c].served_name = mail[0].name; call[c].served = mail[0].attempt
	:: else -> call[c].owed = 1
	fi
}

inline told() {
	printf("process: hears of a grant, ticket %d of name %d\n", mail[0].attempt, mail[0].name);
	if
	:: ticket_name == mail[0].name && ticket_attempt == mail[0].attempt -> ticket_name = 0; ticket_attempt = 0
	:: else
	fi;
	if
	:: HEARS(front) -> answer(front)
	:: !HEARS(front) && HEARS(1 - front) -> answer(1 - front)
	:: else -> forwarding = forwarding | (1 << mail[0].name)
	fi;
	i = 0;
	do
	:: i < GRANTS - 1 -> mail[i].name = mail[i + 1].name; mail[i].attempt = mail[i + 1].attempt; i++
	:: else -> break
	od;
	mail[i].name = 0; mail[i].attempt = 0;
	i = 0
}

inline owe(c, n) {
	call[c].owed = call[c].owed || call[c].state == WAITS && call[c].name == n
}

/* A lock that the server gave to name n is passed on, unless it is wanted. */
inline decline(n) {
	if
	:: WAITING(n) && !term[n].retired ->
#ifndef NO_OWED
		owe(0, n); owe(1, n)
#endif
	:: !(WAITING(n) && !term[n].retired) && HELD(n) > 0
	:: else -> pass(n, NOBODYS)
	fi
}

inline given_back(c, n) {
	if
	:: call[c].state == LEAVES && call[c].name == n -> go(c)
	:: else
	fi
}

inline reply(n) {
	if
	:: term[n].op == ENQUEUE ->
		if
		:: term[n].got && !term[n].open && net[n].attempt != 0 && ticket_name == n && ticket_attempt == net[n].attempt ->
			ticket_name = 0; ticket_attempt = 0
		:: else
		fi;
		if
		:: term[n].got && term[n].left -> term[n].spent = attempt; done(n); pass(n, NOBODYS)
		:: term[n].got && !term[n].left -> i = term[n].who; done(n); obtain(i); i = 0
		:: !term[n].got && !term[n].left && call[term[n].who].state == OUT -> join(term[n].who); done(n)
		:: else -> done(n)
		fi
	:: term[n].op == PASS ->
		if
		:: term[n].got && ticket_name == net[n].old_name && ticket_attempt == net[n].old_attempt ->
			ticket_name = 0; ticket_attempt = 0
		:: else
		fi;
		if
		:: term[n].open -> term[n].retired = 1
		:: else
		fi;
		done(n); given_back(0, n); given_back(1, n)
	:: term[n].op == WITHDRAW ->
		if
		:: term[n].got -> done(n); decline(n)
		:: else -> done(n)
		fi
	fi
}

/* No answer to the script of name n will come. */
inline give_up(n) {
	excused = 1;
	if
	:: term[n].op == ENQUEUE ->
		term[n].retired = 1;
		find_slot();
		net[i].kind = RELEASE; net[i].name = n;
		i = 0;
		if
		:: !term[n].left ->
			i = term[n].who;
			call[i].owed = call[i].owed || term[n].owed;
			if
			:: call[i].state == OUT -> go(i)
			:: else
			fi
		:: else
		fi;
		i = 0
	:: term[n].op == PASS -> term[n].retired = 1; given_back(0, n); given_back(1, n)
	:: else
	fi;
	done(n)
}

#define KNOWS(c) (call[c].state >= HOLDS || call[c].trying || call[c].served != 0 || call[c].owed)

inline check() {
	assert(call[0].state != HOLDS || owner == call[0].name);
	assert(call[1].state != HOLDS || owner == call[1].name);
	/* Nobody knows of the lock that this process has. */
	assert(owner == 0 || owner == OTHERS || excused || !IDLE || KNOWS(0) || KNOWS(1) ||
		mail[0].name != 0 || forwarding != 0 || quitting != 0 || !QUIET)
}

#define CALLER(c) \
	:: d_step { call[c].state == OUT && !call[c].trying && !BUSY(c) && !UNNAMED && calls < CALLS -> \
		calls++; call[c].name = CURRENT; join(c) } \
	:: d_step { call[c].state == WAITS && !call[c].trying && !BUSY(c) && call[c].served == 0 -> decide(c) } \
	:: d_step { call[c].trying && term[call[c].name].op == NONE && !(term[call[c].name].retired && UNNAMED) -> try(c); check() } \
	:: d_step { call[c].state == WAITS && !call[c].trying && !BUSY(c) && call[c].served != 0 && \
		term[call[c].name].op == NONE -> accept(c); check() } \
	:: d_step { call[c].state == WAITS && quitting == 0 -> \
		printf("process: %d gives up waiting\n", c); \
		undecide(c); \
		if \
		:: BUSY(c) -> call[c].owed = call[c].owed || term[call[c].name].owed; term[call[c].name].left = 1 \
		:: else \
		fi; \
		leave(c); go(c); check() } \
	:: d_step { call[c].state == HOLDS && term[call[c].name].op == NONE && STANDING(call[c].name) > 1 -> go(c) } \
	:: d_step { call[c].state == HOLDS && term[call[c].name].op == NONE && STANDING(call[c].name) == 1 -> \
		call[c].state = LEAVES; j = call[c].name; pass(j, c); j = 0; check() }

#define NAME(n) \
	:: d_step { term[n].op != NONE -> reply(n); check() } \
	:: d_step { (forwarding & (1 << n)) && term[n].op == NONE -> forwarding = forwarding & ~(1 << n); decline(n); check() } \
	:: d_step { quitting == n && term[n].op == NONE -> \
		ask(n, WITHDRAW, NOBODYS); \
		net[n].old_name = quitting_name; net[n].old_attempt = quitting_attempt; \
		quitting = 0; quitting_name = 0; quitting_attempt = 0 } \
	/* Fault: the reply is lost. The script is sent again, or given up. */ \
	:: d_step { term[n].op != NONE && faults > 0 -> \
		faults--; printf("a reply is lost\n"); \
		term[n].open = 1; sending = n } \
	:: d_step { term[n].op != NONE && faults > 0 -> \
		faults--; printf("a reply is lost, and nobody answers\n"); \
		give_up(n); check() }

/* What is sent runs at once, or late: and then another copy runs, or none. To run later
 * is the same as to be sent later. */
#define SEND(n) \
	:: d_step { sending == n -> sending = 0; execute(n); check() } \
	:: d_step { sending == n && faults > 0 -> \
		faults--; printf("the connection breaks\n"); \
		abandon(n) } \
	:: d_step { sending == n && faults > 0 -> \
		faults--; printf("the connection breaks, and nobody answers\n"); \
		sending = 0; abandon(n); give_up(n); check() }

active proctype world()
{
	bit s;
	do
	:: sending != 0 ->
		if
		SEND(1)
		SEND(2)
		fi
	:: else ->
end:		if
		CALLER(0)
		CALLER(1)
		/* A call that does not wait. */
		:: d_step { call[1].state == OUT && !call[1].trying && !BUSY(1) && !UNNAMED && calls < CALLS ->
			calls++; call[1].name = CURRENT; call[1].trying = 1 }
		:: d_step { call[1].state == OUT && call[1].trying -> go(1) }
		:: d_step { call[1].state == OUT && BUSY(1) -> term[call[1].name].left = 1; go(1) }
		NAME(1)
		NAME(2)
		:: d_step { mail[0].name != 0 -> told(); check() }

		/* Strays. */
		:: d_step { net[NAMES + 1].kind != NONE -> execute(NAMES + 1); check() }
		:: d_step { net[NAMES + 2].kind != NONE -> execute(NAMES + 2); check() }
#if FAULTS > 1
		:: d_step { net[NAMES + 3].kind != NONE -> execute(NAMES + 3); check() }
		:: d_step { net[NAMES + 4].kind != NONE -> execute(NAMES + 4); check() }
#endif

		/* Nobody uses the lock for a while, and the process forgets what it knew of it. */
		:: d_step { attempt > 0 && NOBODY && !KNOWS(0) && !KNOWS(1) && !WAITING(1) && !WAITING(2) && IDLE &&
			forwarding == 0 && quitting == 0 && calls < CALLS ->
			term[1].spent = 0; term[2].spent = 0;
			ticket_name = 0; ticket_attempt = 0;
#ifdef NO_COUNT_ON
			attempt = 0;
#endif
			printf("process: forgets the lock\n"); check() }

		/* The others. */
		:: d_step { owner == OTHERS || owner == 0 && queue[0].name != 0 -> serve_queue(); check() }
		:: d_step { owner == 0 -> owner = OTHERS; printf("another takes the lock\n"); check() }
		fi
	od
}
