import { ArgsType, Field, Int } from 'type-graphql';

/** The arguments of a Relay connection. A page has 20 items by default. */
@ArgsType()
export class PageArgs {
  @Field(() => Int, { description: 'Page size, from 1 to 100.' })
  first = 20;

  @Field(() => String, {
    nullable: true,
    description: '`endCursor` of the previous page. Omitted: the first page.',
  })
  after?: string | null;
}

/** The same for connections of events, whose pages have 50 items by default. */
@ArgsType()
export class EventPageArgs extends PageArgs {
  @Field(() => Int, { description: 'Page size, from 1 to 100.' })
  override first = 50;
}
